import type { Database } from '../../db/database.ts'
import { listSealedAfter, listUnsealed } from './repository.ts'
import { toEvent } from './resource.ts'

const PAGE = 1_000

/** Every event there is as one JSON line each: the chain from its beginning, then what has no place in it yet. */
export async function* exportLines(db: Database): AsyncGenerator<string> {
  let after = 0
  for (;;) {
    // Of one moment: between the two, nothing is sealed that neither would have.
    const { sealed, unsealed } = await db
      .transaction()
      .setIsolationLevel('repeatable read')
      .execute(async (trx) => {
        const sealed = await listSealedAfter(trx, after, PAGE)
        return { sealed, unsealed: sealed.length < PAGE ? await listUnsealed(trx) : undefined }
      })
    for (const { position, hash, ...event } of sealed) {
      yield JSON.stringify({ ...toEvent(event), position, hash: hash.toString('hex') })
      after = position
    }
    if (!unsealed) continue
    for (const event of unsealed) yield JSON.stringify({ ...toEvent(event), position: null, hash: null })
    return
  }
}
