import { sql } from 'kysely'
import { type Database, inTransaction, type Transaction } from '../db/database.ts'
import { COLUMN_TYPES, columns } from './event-repository.ts'

const EVENTS = sql.table('audit_log')
const CHAIN = sql.table('audit_links')
const UNSEALED = sql.table('audit_unsealed')
/** The ends of parts of the chain that were archived and dropped. */
const HEADS = sql.table('audit_heads')

/** The maximum number of events of a batch, and the total size of their details at which it ends. */
export const BATCH_SIZE = 2_000
export const BATCH_BYTES = 4 * 1024 * 1024

const VERIFIED_AT_ONCE = 500
const COMPARED_AT_ONCE = 20_000

/** Sorts before the id of every event. */
export const BEFORE_ALL = '00000000-0000-0000-0000-000000000000'

// The columns as a JSON array of texts. Each text is canonical: it does not depend on the session's settings.
const CONTENT = sql.raw(
  `array_to_json(array[${columns
    .map((column) => {
      const type = COLUMN_TYPES[column]
      if (type === 'text') return column
      return type === 'timestamptz'
        ? `(extract(epoch from ${column}) * 1000000)::bigint::text`
        : `${column}::text`
    })
    .join(', ')}])::text`
)

export interface ChainHead {
  position: number
  hash: Buffer
}

/** Returns the last sealed position and its hash, or undefined if no event was ever sealed. */
export async function findLastLink(db: Database): Promise<ChainHead | undefined> {
  const last = (table: typeof CHAIN) => sql`(select position, hash from ${table}
    order by position desc limit 1)`
  const { rows } = await sql<ChainHead>`select position, hash
    from (${last(CHAIN)} union all ${last(HEADS)}) last order by position desc limit 1`.execute(db)
  return rows[0]
}

/** Returns the hash at this position, or undefined if there is no such position. */
export async function findHash(db: Database, position: number): Promise<Buffer | undefined> {
  const { rows } = await sql<{ hash: Buffer }>`
    select hash from ${CHAIN} where position = ${position}
    union all select hash from ${HEADS} where position = ${position} limit 1`.execute(db)
  return rows[0]?.hash
}

/**
 * Makes the statements of a transaction find rows only by their keys. The lists can be empty when statistics
 * are collected and long a moment later; the planner would then read the whole list for each row.
 */
export async function useKeys(trx: Transaction): Promise<void> {
  const settings = ['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin']
  await sql`select set_config(name, 'off', true) from unnest(${settings}::text[]) name`.execute(trx)
}

/**
 * Removes the next batch of settled events after `after` from the list of unsealed events, and returns their
 * ids. Must run before the events are read: the delete waits for transactions that still count a denial.
 */
export async function takeSettled(trx: Transaction, after: string): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`delete from ${UNSEALED} where event_id = any(array(
      select event_id from (
        select event_id, bytes, sum(bytes) over (order by event_id rows unbounded preceding) as total from (
          select event_id, bytes from ${UNSEALED} u
          cross join lateral (
            select octet_length(details::text) as bytes from ${EVENTS} where id = u.event_id offset 0) e
          where event_id > ${after}::uuid and settled_at <= now()
          order by event_id limit ${BATCH_SIZE}) settled) batch
      where total - bytes < ${BATCH_BYTES}))
    returning event_id as id`.execute(trx)
  return rows.map(({ id }) => id)
}

/** Returns the events that are not in the chain yet, oldest first. */
export async function listUnchained(
  trx: Transaction,
  ids: readonly string[]
): Promise<{ id: string; content: string }[]> {
  const { rows } = await sql<{ id: string; content: string }>`
    select e.id, e.content from unnest(${arrayOf(ids)}::uuid[]) one(id)
    cross join lateral (select id, ${CONTENT} as content from ${EVENTS} where id = one.id offset 0) e
    where not exists (select from ${CHAIN} where event_id = e.id offset 0)
    order by e.id`.execute(trx)
  return rows
}

/** Appends the events, in this order, at the positions after `position`. */
export async function appendLinks(
  trx: Transaction,
  position: number,
  links: readonly { id: string; hash: Buffer }[]
): Promise<void> {
  const hashes = Buffer.concat(links.map(({ hash }) => hash))
  // Sending arrays with many elements would cost the driver more than the hashing.
  await sql`insert into ${CHAIN} (position, event_id, hash)
    select ${position}::bigint + n, id, substr(${hashes}::bytea, 32 * n::int - 31, 32)
    from unnest(${arrayOf(links.map(({ id }) => id))}::uuid[]) with ordinality l(id, n)`.execute(trx)
}

const arrayOf = (ids: readonly string[]) => `{${ids.join()}}`

export interface Link extends ChainHead {
  id: string
  /** Null if the event is missing. */
  content: string | null
}

/** Returns the next links after position `after`, up to `last`, with the events as they are now. */
export async function listLinks(db: Database, after: number, last: number): Promise<Link[]> {
  const { rows } = await sql<Link>`
    select c.position, c.event_id as id, c.hash, e.content
    from ${CHAIN} c
    left join lateral (
      select ${CONTENT} as content from ${EVENTS} where id = c.event_id offset 0) e on true
    where c.position > ${after} and c.position <= ${last}
    order by c.position limit ${VERIFIED_AT_ONCE}`.execute(db)
  return rows
}

/** The result of a step: the last compared id, and an event that is in neither table, or null. */
export interface Compared {
  last: string | null
  stray: string | null
}

/** Runs a step of a comparison. */
export function inStep(db: Database, step: (trx: Transaction) => Promise<Compared>): Promise<Compared> {
  return inTransaction(db, async (trx) => {
    await useKeys(trx)
    return step(trx)
  })
}

/** Null selects all events, because an id that was written by hand may be the lowest possible id. */
const isAfter = (column: string, id: string | null) =>
  id === null ? sql`true` : sql`${sql.ref(column)} > ${id}::uuid`

/** Compares the next events after the id `after` with the chain and the list of unsealed ones. */
export async function compareEvents(trx: Transaction, after: string | null): Promise<Compared> {
  const { rows } = await sql<Compared>`
    with step as materialized (
      select id from ${EVENTS} where ${isAfter('id', after)} order by id limit ${COMPARED_AT_ONCE})
    select (select id from step order by id desc limit 1) as last,
      (select id from step
        where not exists (select from ${CHAIN} where event_id = step.id offset 0)
          and not exists (select from ${UNSEALED} where event_id = step.id offset 0)
        limit 1) as stray`.execute(trx)
  return rows[0]!
}

/** Compares the next unsealed events after the id `after` with the events. */
export async function compareUnsealed(trx: Transaction, after: string | null): Promise<Compared> {
  const { rows } = await sql<Compared>`
    with step as materialized (
      select event_id as id from ${UNSEALED} where ${isAfter('event_id', after)}
      order by event_id limit ${COMPARED_AT_ONCE})
    select (select id from step order by id desc limit 1) as last,
      (select id from step where not exists (select from ${EVENTS} e where e.id = step.id offset 0)
        limit 1) as stray`.execute(trx)
  return rows[0]!
}

/** Counts the events that are not sealed yet, up to `limit`. */
export async function countUnsealed(db: Database, limit: number | null): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*) as count
    from (select from ${UNSEALED} limit ${limit}) unsealed`.execute(db)
  return rows[0]!.count
}

/**
 * Returns for how many seconds the oldest unsealed event has been ready to be sealed, or 0 if all are sealed.
 * Reads up to `limit` events, oldest first. An event settles within two minutes; if the list has a later
 * time, it was written by hand, and the time of the event is used instead. A missing event is infinitely
 * late.
 */
export async function findSealingLag(db: Database, limit: number): Promise<number> {
  const { rows } = await sql<{ seconds: number }>`
    select coalesce(max(extract(epoch from now())::float8 - extract(epoch from due)::float8), 0) as seconds
    from (select event_id, settled_at from ${UNSEALED} order by event_id limit ${limit}) u
    cross join lateral (select least(settled_at, coalesce(
      (select occurred_at + interval '2 minutes' from ${EVENTS} where id = u.event_id), '-infinity'))
      as due) d`.execute(db)
  return Math.max(0, rows[0]!.seconds)
}
