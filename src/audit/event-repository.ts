import { type Expression, type Insertable, type QueryCreator, type RawBuilder, sql } from 'kysely'
import { type CallerTokenParams, isLive } from '../auth/caller-repository.ts'
import type { Database } from '../db/database.ts'
import { type Params, prepared } from '../db/prepared.ts'
import type { Tables } from '../db/tables.ts'

type Column = Exclude<keyof Tables['audit_log'], 'fold_key'>

/** The columns of an event with their SQL types, in the order in which the chain hashes them. */
export const COLUMN_TYPES: Readonly<Record<Column, string>> = {
  id: 'uuid',
  occurred_at: 'timestamptz',
  action: 'text',
  outcome: 'text',
  actor_type: 'text',
  actor_id: 'uuid',
  actor_name: 'text',
  target_type: 'text',
  target_id: 'uuid',
  target_name: 'text',
  owner_id: 'uuid',
  project_id: 'uuid',
  ip: 'text',
  user_agent: 'text',
  request_id: 'text',
  details: 'jsonb',
  count: 'int'
}

export const columns = Object.keys(COLUMN_TYPES) as Column[]
const insertedColumns = columns.filter((column) => column !== 'occurred_at' && column !== 'count')

/** A row to insert: an element of the JSON array for `insertEvents`. */
export type NewEvent = Omit<
  Insertable<Tables['audit_log']>,
  'occurred_at' | 'count' | 'fold_key' | 'details'
> & { details: object }

/** A denial. Denials with the same `fold_key` within a minute become one event with a `count`. */
export type NewDenial = NewEvent & { fold_key: string; if_exists: boolean }

const typedColumns = columns.map((column) => `${column} ${COLUMN_TYPES[column]}`)
const RECORDSET = sql.raw(`e(${typedColumns.join(', ')}, fold_key text, if_exists boolean)`)
const selection = (of: (column: Column) => string) => sql.raw(insertedColumns.map(of).join(', '))
const INSERTED = selection((column) => column)
const EVENT = selection((column) => `e.${column}`)
const DENIAL = selection((column) => (column === 'owner_id' ? 'c.owner_id' : `e.${column}`))

/**
 * Inserts events from a JSON array of `NewEvent`. With `from`, the array is a column of that table, so that
 * one statement can make a change and record it.
 */
export function insertEvents(
  db: QueryCreator<Tables>,
  events: Expression<unknown>,
  from?: RawBuilder<unknown>
) {
  const tables = from ? sql`${from}, ` : sql``
  return db
    .insertInto('audit_log')
    .columns(insertedColumns)
    .expression(sql`select ${EVENT} from ${tables}jsonb_to_recordset(${events}::jsonb) as ${RECORDSET}`)
}

const insertAll = prepared((db, p: Params<{ events: string }>) => insertEvents(db, p.events).returning('id'))

export async function insertEventRows(db: Database, rows: readonly NewEvent[]): Promise<void> {
  await insertAll(db, { events: JSON.stringify(rows) })
}

/** An event for a read of secrets, with the session or token that reads them. */
export type NewSecretRead = NewEvent & {
  caller_kind: CallerTokenParams['callerKind']
  caller_token_id: string
}

const HAND_OUT = sql.raw(`e(${typedColumns.join(', ')}, caller_kind text, caller_token_id uuid)`)
const isCallerLive = isLive({
  callerKind: sql.ref('e.caller_kind'),
  callerTokenId: sql.ref('e.caller_token_id')
})

const insertAllSecretReads = prepared((db, p: Params<{ events: string }>) =>
  db
    .insertInto('audit_log')
    .columns(insertedColumns)
    .expression(sql`select ${EVENT} from jsonb_to_recordset(${p.events}::jsonb) as ${HAND_OUT}
      where ${isCallerLive}`)
    .returning('id')
)

/** Inserts the events whose session or token is still valid, and returns their ids. */
export async function insertSecretReads(db: Database, rows: readonly NewSecretRead[]): Promise<Set<string>> {
  const inserted = await insertAllSecretReads(db, { events: JSON.stringify(rows) })
  return new Set(inserted.map((row) => row.id))
}

// Events are partitioned by id, so none of their indexes finds equal denials; the table `audit_folds` does.
// The statement that inserts its row also inserts the event. Others count the row, and a trigger counts the
// event.
const insertAllDenials = prepared((db, p: Params<{ events: string }>) => {
  const denials = sql<Record<string, unknown>>`(
    select ${DENIAL}, floor(extract(epoch from now()) / 60) as minute, e.fold_key
    from jsonb_to_recordset(${p.events}::jsonb) as ${RECORDSET}
    left join credentials c on e.target_type = 'credential' and c.id = e.target_id
    left join users u on e.target_type = 'user' and u.id = e.target_id
    left join sessions s on e.target_type = 'session' and s.id = e.target_id
    left join access_tokens t on e.target_type = 'access-token' and t.id = e.target_id
    where not e.if_exists or coalesce(c.id, u.id, s.id, t.id) is not null)`
  // Ordered, so that concurrent statements lock the counted rows in the same order.
  const folds = sql<{ event_id: string }>`(
    insert into audit_folds as f (minute, key, event_id)
    select minute, fold_key, id from denials order by fold_key
    on conflict (minute, key) do update set count = f.count + 1
    returning event_id)`
  return db
    .with('denials', () => denials)
    .with('folds', () => folds)
    .insertInto('audit_log')
    .columns(insertedColumns)
    .expression(sql`select ${INSERTED} from denials where id in (select event_id from folds)`)
    .returning('id')
})

/**
 * Inserts denials, or counts them in the row of the same minute. Each `fold_key` must occur once in `rows`.
 */
export async function insertDenialRows(db: Database, rows: readonly NewDenial[]): Promise<void> {
  await insertAllDenials(db, { events: JSON.stringify(rows) })
}

/** Returns the events after `id`, oldest first, with their positions in the chain. */
export function listEventsAfter(db: Database, id: string, limit: number) {
  // Lateral with `offset 0`: finds the link of each event, where a join could read all links for each page.
  return db
    .selectFrom('audit_log')
    .leftJoinLateral(
      (one) =>
        one
          .selectFrom('audit_links as l')
          .whereRef('l.event_id', '=', 'audit_log.id')
          .select(['l.position', 'l.hash'])
          .offset(0)
          .as('c'),
      (join) => join.onTrue()
    )
    .select([...columns, 'c.position', 'c.hash'])
    .where(sql<boolean>`id > ${id}::uuid`)
    .orderBy('id')
    .limit(limit)
    .execute()
}
