import type { Database } from '../db/database.ts'
import { listEventsAfter } from './event-repository.ts'
import { toEvent } from './resource.ts'

/** Yields all events as JSON lines, oldest first, with their positions in the chain. */
export async function* exportLines(db: Database): AsyncGenerator<string> {
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const rows = await listEventsAfter(db, after, 1_000)
    if (rows.length === 0) return
    for (const { position, hash, ...event } of rows) {
      yield JSON.stringify({ ...toEvent(event), position, hash: hash?.toString('hex') ?? null })
    }
    after = rows.at(-1)!.id
  }
}
