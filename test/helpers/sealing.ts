import { sql } from 'kysely'
import { sealEvents } from '../../src/audit/chain.ts'
import type { Database } from '../../src/db/database.ts'
import { eventually } from './eventually.ts'

/** Seals all events that are settled, together with the services that run. */
export async function sealAll(db: Database): Promise<void> {
  await eventually(
    async () => {
      await sealEvents(db)
      const { rows } = await sql`select from audit_unsealed u join audit_log e on e.id = u.event_id
        where settled_at <= now() limit 1`.execute(db)
      return rows.length === 0
    },
    'all events are sealed',
    60_000
  )
}
