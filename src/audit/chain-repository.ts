import { sql } from 'kysely'
import { type Database, inTransaction, type Transaction } from '../db/database.ts'
import { COLUMN_TYPES, columns } from './event-repository.ts'

const BATCH_SIZE = 500

// JSON of all columns as texts. Each text is canonical: it does not depend on settings of the session.
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

/** Returns the last sealed position and its hash, or undefined if no event is sealed. */
export function findLastLink(db: Database): Promise<ChainHead | undefined> {
  return db
    .selectFrom('audit_links')
    .select(['position', 'hash'])
    .orderBy('position', 'desc')
    .limit(1)
    .executeTakeFirst()
}

/**
 * Takes a batch of settled events off the list of unsealed ones, and returns their ids. Must run before the
 * events are read: the delete waits for transactions that still count a denial.
 */
export async function takeSettled(trx: Transaction): Promise<string[]> {
  // The subquery in the where clause keeps the planner from scanning all events.
  const { rows } = await sql<{ id: string }>`delete from audit_unsealed
    where event_id in (
      select event_id from audit_unsealed u
      where settled_at <= now() and (select id from audit_log where id = u.event_id) is not null
      order by event_id limit ${BATCH_SIZE})
    returning event_id as id`.execute(trx)
  return rows.map(({ id }) => id)
}

/** Returns those of the events that are not in the chain yet, oldest first. */
export async function listUnchained(
  trx: Transaction,
  ids: readonly string[]
): Promise<{ id: string; content: string }[]> {
  const { rows } = await sql<{ id: string; content: string }>`
    select id, ${CONTENT} as content from audit_log e
    where id = any(${ids}::uuid[]) and not exists (select from audit_links where event_id = e.id)
    order by id`.execute(trx)
  return rows
}

export async function appendLinks(
  trx: Transaction,
  links: readonly { position: number; id: string; hash: Buffer }[]
): Promise<void> {
  await sql`insert into audit_links (position, event_id, hash)
    select l.position, l.id, l.hash
    from unnest(${links.map(({ position }) => position)}::bigint[], ${links.map(({ id }) => id)}::uuid[],
      ${links.map(({ hash }) => hash)}::bytea[]) l(position, id, hash)`.execute(trx)
}

export interface Link extends ChainHead {
  id: string
  /** Null if the event is gone. */
  content: string | null
}

/** Returns the next batch of the chain after `position`, with the events as they are now. */
export async function listLinksAfter(db: Database, position: number): Promise<Link[]> {
  const { rows } = await sql<Link>`
    select c.position, c.event_id as id, c.hash, e.content
    from audit_links c
    left join lateral (
      select ${CONTENT} as content from audit_log where id = c.event_id offset 0) e on true
    where c.position > ${position} order by c.position limit ${BATCH_SIZE}`.execute(db)
  return rows
}

/**
 * Returns an event that is neither in the chain nor waiting to be sealed ("added"), or a waiting one that is
 * gone ("missing"), if there is one.
 */
export function findStray(db: Database): Promise<{ id: string; what: 'added' | 'missing' } | undefined> {
  return inTransaction(db, async (trx) => {
    // One statement has to compare all events: sealing goes on meanwhile.
    await sql`set local statement_timeout = 0`.execute(trx)
    const { rows } = await sql<{ id: string; what: 'added' | 'missing' }>`
      (select e.id, 'added' as what from audit_log e
        where not exists (select from audit_links where event_id = e.id)
          and not exists (select from audit_unsealed where event_id = e.id) limit 1)
      union all
      (select u.event_id, 'missing' from audit_unsealed u
        where not exists (select from audit_log where id = u.event_id) limit 1)`.execute(trx)
    return rows[0]
  })
}

/** Counts the events that are not sealed yet, up to `limit`. */
export async function countUnsealed(db: Database, limit: number | null): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*) as count
    from (select from audit_unsealed limit ${limit}) unsealed`.execute(db)
  return rows[0]!.count
}
