import { sql } from 'kysely'
import { sealEvents } from '../../src/audit/chain.ts'
import type { Database } from '../../src/db/database.ts'
import { eventually } from './eventually.ts'

/** Seals all settled events, together with the running services. */
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

/** Inserts settled events without a known user, with details of about this many bytes. */
export async function insertEvents(db: Database, count: number, bytes = 100): Promise<void> {
  await sql`insert into audit_log (id, action, outcome, actor_type, target_name, details)
    select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint + n / 100), 12, '0')
        || '7' || substr(md5(n::text || random()), 1, 3)
        || '8' || substr(md5(n::text || random()), 1, 15))::uuid,
      'test.inserted', 'allowed', 'system', 'number ' || n, jsonb_build_object('text', repeat('x', ${bytes}))
    from generate_series(1, ${count}::int) n`.execute(db)
}

/** Counts the links of the chain. */
export async function countLinks(db: Database): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*) as count from audit_links`.execute(db)
  return rows[0]!.count
}
