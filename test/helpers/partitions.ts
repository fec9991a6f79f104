import { sql } from 'kysely'
import type { Database } from '../../src/db/database.ts'

/**
 * Divides the first partitions of the audit log at midnight, `daysAgo` days ago each, as in a database of
 * that age. `db` must be connected as the owner, and the log must be empty.
 */
export async function divideLog(db: Database, daysAgo: readonly number[]): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const { rows } = await sql<{ bound: string; name: string }>`
      select audit_id_of(at at time zone 'UTC')::text as bound, to_char(at, 'YYYYMMDD') as name
      from unnest(${`{${daysAgo.join()}}`}::int[]) days,
        date_trunc('day', now() at time zone 'UTC' - make_interval(days => days)) at order by at`.execute(trx)
    for (const [parent, first] of [
      ['audit_log', 'audit_events'],
      ['audit_links', 'audit_chain']
    ] as const) {
      const { rows: found } = await sql<{ end: string }>`
        select to_id::text as end from audit_partitions where name = ${first}`.execute(trx)
      const ends = [...rows.map(({ bound }) => bound), found[0]!.end]
      await sql`alter table ${sql.table(parent)} detach partition ${sql.table(first)}`.execute(trx)
      await sql`alter table ${sql.table(parent)} attach partition ${sql.table(first)}
        for values from (minvalue) to (${sql.lit(ends[0])})`.execute(trx)
      for (const [index, { bound, name }] of rows.entries()) {
        const { rows: made } = await sql<{ table: string }>`
          select audit_new_partition(${parent}, ${name}) as table`.execute(trx)
        await sql`alter table ${sql.table(parent)} attach partition ${sql.table(made[0]!.table)}
          for values from (${sql.lit(bound)}) to (${sql.lit(ends[index + 1])})`.execute(trx)
      }
    }
  })
}

/**
 * Moves the start of the last partitions to midnight `daysAgo` days ago, as if none had been created since.
 */
export async function endPartitions(db: Database, daysAgo: number): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const { rows } = await sql<{ parent: string; first: string; last: string; bound: string }>`
      select f.parent, f.name as first, l.name as last, audit_id_of(date_trunc('day',
        now() at time zone 'UTC' - make_interval(days => ${daysAgo})) at time zone 'UTC')::text as bound
      from audit_partitions f join audit_partitions l on l.parent = f.parent
      where f.from_id is null and l.to_id is null`.execute(trx)
    for (const { parent, first, last, bound } of rows) {
      const [table, end] = [sql.table(parent), sql.lit(bound)]
      await sql`alter table ${table} detach partition ${sql.table(first)}`.execute(trx)
      await sql`alter table ${table} detach partition ${sql.table(last)}`.execute(trx)
      await sql`alter table ${table} attach partition ${sql.table(first)}
        for values from (minvalue) to (${end})`.execute(trx)
      await sql`alter table ${table} attach partition ${sql.table(last)}
        for values from (${end}) to (maxvalue)`.execute(trx)
    }
  })
}

/** Inserts an event for each age in days, whose id is from a clock that is `ahead` by this many days. */
export async function insertAged(
  db: Database,
  ages: readonly number[],
  { ahead = 0, outcome = 'allowed' }: { ahead?: number; outcome?: 'allowed' | 'denied' } = {}
): Promise<void> {
  await sql`insert into audit_log (id, occurred_at, action, outcome, actor_type, target_name, details)
    select (left(audit_id_of(at + make_interval(days => ${ahead}))::text, 14)
        || '7' || right(gen_random_uuid()::text, 21))::uuid,
      at, 'test.aged', ${outcome}, 'system', E'of a day \\u2028 "\\t"', jsonb_build_object('age', age)
    from unnest(${`{${ages.join()}}`}::float8[]) age,
      lateral (select now() - make_interval(secs => age * 86400) as at) time`.execute(db)
}

/** Lists the names of the partitions of the log, in order. */
export async function partitionsOf(db: Database): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`select name from audit_partitions
    where parent = 'audit_log' order by from_id nulls first`.execute(db)
  return rows.map(({ name }) => name)
}
