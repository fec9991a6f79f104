import { sql } from 'kysely'
import type { Database, Transaction } from '../db/database.ts'
import { useKeys } from './chain-repository.ts'
import { columns } from './event-repository.ts'
import type { StoredHead } from './head.ts'

const EVENT = sql.raw([...columns, 'fold_key'].join(', '))
const LINK = sql.raw('position, event_id, hash')

const DELETED_AT_ONCE = 1_000

/** Returns the ends of exported parts of the chain, oldest first. */
export function listHeads(db: Database): Promise<StoredHead[]> {
  return db
    .selectFrom('audit_heads')
    .select(['position', 'hash', 'head', 'signature'])
    .orderBy('position')
    .execute()
}

export async function insertHead(trx: Transaction, head: StoredHead): Promise<void> {
  const { position, hash, head: bytes, signature } = head
  await trx.insertInto('audit_heads').values({ position, hash, head: bytes, signature }).execute()
}

/** Returns the time `days` ago, and the ends of partitions at least a day before that, oldest first. */
export async function findClosed(db: Database, keepDays: number): Promise<{ cutoff: Date; ends: string[] }> {
  const { rows } = await sql<{ cutoff: Date; ends: string[] }>`
    select cutoff, array(select to_id::text from audit_partitions
        -- A day for clocks that differ, and for denials that are counted a while.
        where parent = 'audit_log' and audit_time_of(to_id) <= cutoff - interval '1 day'
        order by to_id) as ends
    from (select now() - make_interval(days => ${keepDays}) as cutoff) time`.execute(db)
  return rows[0]!
}

/** Returns the last position of an event with an id before `end`; 0 if there is none. */
export async function findLastPosition(db: Database, end: string): Promise<number> {
  const { rows } = await sql<{ position: number }>`
    select coalesce(max(position), 0) as position from audit_links where event_id < ${end}`.execute(db)
  return rows[0]!.position
}

/** Returns true if there are events with an id before `end`. */
export async function hasEvents(db: Database, end: string): Promise<boolean> {
  const { rows } = await sql`select from audit_log where id < ${end} limit 1`.execute(db)
  return rows.length > 0
}

interface Partition {
  name: string
  parent: string
  bound: string
  isFirst: boolean
}

/** Returns the partitions of both tables with ids before `end`, oldest first. */
export async function listPartitions(db: Database, end: string): Promise<Partition[]> {
  const { rows } = await sql<Partition>`
    select name, parent, to_id::text as bound, from_id is null as "isFirst"
    from audit_partitions where to_id <= ${end} order by to_id`.execute(db)
  return rows
}

/** Locks the log and its chain, so that nothing is added. Waits for half a second at most. */
export async function lockLog(trx: Transaction): Promise<void> {
  await sql`set local lock_timeout = '500ms'`.execute(trx)
  await sql`lock table audit_log, audit_links in access exclusive mode`.execute(trx)
}

/**
 * Drops the partitions with ids before `end` and replaces them by one, which gets the events that are not in
 * the chain up to `position`, with their links.
 */
export async function dropPartitions(trx: Transaction, end: string, position: number): Promise<void> {
  const old = await listPartitions(trx, end)
  const { rows } = await sql<{ log: string; links: string }>`
    select audit_new_partition('audit_log', suffix) as log,
      audit_new_partition('audit_links', suffix) as links
    -- The position: there may be one up to the same day already.
    from concat(to_char(audit_time_of(${end}) at time zone 'UTC', '"before_"YYYYMMDD_'), ${position}::text)
      suffix`.execute(trx)
  const { log, links } = rows[0]!
  await useKeys(trx)
  await sql`insert into ${sql.table(log)} (${EVENT}) select ${EVENT} from audit_log where id in (
    select event_id from audit_links where event_id < ${end} and position > ${position}
    union all select event_id from audit_unsealed where event_id < ${end})`.execute(trx)
  await sql`insert into ${sql.table(links)} (${LINK}) select ${LINK} from audit_links
    where event_id < ${end} and position > ${position}`.execute(trx)
  await sql`drop table ${sql.raw(old.map(({ name }) => name).join(', '))}`.execute(trx)
  for (const [parent, name] of [
    ['audit_log', log],
    ['audit_links', links]
  ] as const)
    await sql`alter table ${sql.table(parent)} attach partition ${sql.table(name)}
      for values from (minvalue) to (${sql.lit(end)})`.execute(trx)
}

/** Deletes a batch of the events up to this position, which is that of a head. Returns their number. */
export async function deleteExported(trx: Transaction, position: number): Promise<number> {
  const { rows } = await sql<{ id: string }>`select event_id as id from audit_links
    where position <= ${position} order by position limit ${DELETED_AT_ONCE}`.execute(trx)
  const ids = `{${rows.map(({ id }) => id).join()}}`
  await sql`delete from audit_log where id = any(${ids}::uuid[])`.execute(trx)
  await sql`delete from audit_links where event_id = any(${ids}::uuid[])`.execute(trx)
  return rows.length
}
