import type { FastifyRequest } from 'fastify'
import { type Expression, type QueryCreator, type RawBuilder, sql } from 'kysely'
import { createBatcher } from '../db/batcher.ts'
import { type Database, inTransaction, type Transaction } from '../db/database.ts'
import { isRetryable } from '../db/errors.ts'
import { type Params, prepared } from '../db/prepared.ts'
import type { Tables } from '../db/tables.ts'
import { Unavailable } from '../http/problems.ts'
import { uuidv7 } from '../ids.ts'
import type { Services } from '../services.ts'

/** What a thing that events tell of is. */
export type TargetType =
  | 'session'
  | 'user'
  | 'access-token'
  | 'project'
  | 'credential-type'
  | 'credential'
  | 'data-key'

/** Something that was done. Holds no value, no part of one, and nothing that could be one. */
export interface AuditEvent {
  action: string
  /** A data key has a number and no id. */
  target: { type: TargetType; id: string | null; name?: string | null }
  /** Of a credential. */
  ownerId?: string
  projectId?: string | null
  details?: Record<string, string | number | boolean | null | string[]>
}

/** Who did it, from where. */
export interface Origin {
  actorType: string
  actorId: string | null
  actorName: string | null
  ip: string | null
  userAgent: string | null
  requestId: string | null
}

/** The origin of what the service does by itself, or what its operator does at the command line. */
export function systemOrigin(name: 'service' | 'command line'): Origin {
  return { actorType: 'system', actorId: null, actorName: name, ip: null, userAgent: null, requestId: null }
}

/** The origin of what a request does. */
export function originOf(request: FastifyRequest): Origin {
  const { caller } = request
  const from = {
    ip: request.ip,
    userAgent: request.headers['user-agent']?.slice(0, 500) ?? null,
    requestId: request.id
  }
  if (!caller) return { actorType: 'anonymous', actorId: null, actorName: null, ...from }
  switch (caller.type) {
    case 'session':
      return { actorType: 'user', actorId: caller.userId, actorName: caller.name, ...from }
    case 'personal-token':
      return { actorType: 'personal-token', actorId: caller.userId, actorName: caller.name, ...from }
    case 'project-token':
      return { actorType: 'project-token', actorId: caller.tokenId, actorName: caller.name, ...from }
  }
}

const COLUMNS = [
  'id',
  'action',
  'outcome',
  'actor_type',
  'actor_id',
  'actor_name',
  'target_type',
  'target_id',
  'target_name',
  'owner_id',
  'project_id',
  'ip',
  'user_agent',
  'request_id',
  'details'
] as const

const RECORD =
  sql.raw(`id uuid, action text, outcome text, "actorType" text, "actorId" uuid, "actorName" text,
  "targetType" text, "targetId" uuid, "targetName" text, "ownerId" uuid, "projectId" uuid, ip text, "userAgent" text,
  "requestId" text, details jsonb, "foldKey" text, "ifThere" boolean`)

const FIELDS =
  sql.raw(`e.id, e.action, e.outcome, e."actorType", e."actorId", e."actorName", e."targetType", e."targetId",
  e."targetName", e."ownerId", e."projectId", e.ip, e."userAgent", e."requestId", e.details`)

/**
 * Inserts events, as `eventRows` writes them, in one text whatever they are and however many; `from` a table with such
 * texts: so that one statement does something and records it.
 */
export function insertEvents(
  db: QueryCreator<Tables>,
  events: Expression<unknown>,
  from?: RawBuilder<unknown>
) {
  return db
    .insertInto('audit_events')
    .columns(COLUMNS)
    .expression(
      sql`select ${FIELDS} from ${from ? sql`${from}, ` : sql``}jsonb_to_recordset(${events}::jsonb) as e(${RECORD})` as never
    )
}

const insertAll = prepared((db, p: Params<{ events: string }>) => insertEvents(db, p.events).returning('id'))

const insertDenials = prepared((db, p: Params<{ events: string }>) =>
  db
    .insertInto('audit_events')
    .columns([...COLUMNS, 'fold_key'])
    .expression(
      sql`select e.id, e.action, e.outcome, e."actorType", e."actorId", e."actorName", e."targetType", e."targetId",
          e."targetName", c.owner_id, e."projectId", e.ip, e."userAgent", e."requestId", e.details,
          floor(extract(epoch from now()) / 60) || '/' || e."foldKey"
        from jsonb_to_recordset(${p.events}::jsonb) as e(${RECORD})
        left join credentials c on e."targetType" = 'credential' and c.id = e."targetId"
        left join users u on e."targetType" = 'user' and u.id = e."targetId"
        left join sessions s on e."targetType" = 'session' and s.id = e."targetId"
        left join access_tokens t on e."targetType" = 'access-token' and t.id = e."targetId"
        where not e."ifThere" or coalesce(c.id, u.id, s.id, t.id) is not null
        -- In one order for all, so that two that count the same ones do not wait for each other.
        order by e."foldKey"` as never
    )
    .onConflict((conflict) =>
      conflict
        .column('fold_key')
        .where('fold_key', 'is not', null)
        .doUpdateSet({ count: sql<number>`audit_events.count + 1` })
    )
    .returning('id')
)

/** The events as rows, in the JSON that `insertEvents` takes. */
export function eventRows(origin: Origin, events: readonly AuditEvent[]): object[] {
  return events.map(({ action, target, ownerId, projectId, details }) => ({
    id: uuidv7(),
    action,
    outcome: 'allowed',
    ...origin,
    targetType: target.type,
    targetId: target.id,
    targetName: target.name ?? null,
    ownerId,
    projectId,
    details: details ?? {}
  }))
}

/** Throws Unavailable for what could not be recorded; what ended for the sake of another transaction is tried again with it. */
function unrecorded(error: unknown): never {
  throw isRetryable(error) ? error : new Unavailable({ retryAfter: 2, cause: error })
}

/** Writes what was done. In the transaction of what it tells of: if it cannot be written, that is not done either. */
export async function record(db: Database, origin: Origin, events: readonly AuditEvent[]): Promise<void> {
  if (events.length === 0) return
  await insertAll(db, { events: JSON.stringify(eventRows(origin, events)) }).catch(unrecorded)
}

const insertTogether = createBatcher<Database, object[], undefined>((db) => ({
  async run(events) {
    await insertAll(db, { events: JSON.stringify(events.flat()) })
    return events.map(() => undefined)
  },
  maxSize: 500,
  concurrency: 1
}))

/**
 * Writes what is about to be handed out, in a transaction of its own, which has ended when this returns: what is not in
 * the log is not handed out. Events of requests that come while others are being written are written together.
 */
export async function recordAndCommit(
  db: Database,
  origin: Origin,
  events: readonly AuditEvent[]
): Promise<void> {
  if (events.length === 0) return
  await insertTogether(db, eventRows(origin, events)).catch(unrecorded)
}

export interface Denial {
  action: string
  target: { type: TargetType; id: string } | undefined
  projectId: string | null
  details: Record<string, string | number>
  /** Only if there is such a thing: what is not there hides nothing. */
  ifThere: boolean
}

/** Writes what was refused; the same refusal to the same actor within a minute of the database's is counted on the first. */
export async function recordDenials(db: Database, origin: Origin, denials: readonly Denial[]): Promise<void> {
  if (denials.length === 0) return
  const rows = denials.map(({ action, target, projectId, details, ifThere }) => ({
    id: uuidv7(),
    action,
    outcome: 'denied',
    ...origin,
    targetType: target?.type ?? null,
    targetId: target?.id ?? null,
    projectId,
    details,
    ifThere,
    foldKey: [action, origin.actorType, origin.actorId ?? origin.ip, target?.id, details['code']].join('/')
  }))
  // The same statement must not meet one key twice.
  const distinct = [...new Map(rows.map((row) => [row.foldKey, row])).values()]
  await insertDenials(db, { events: JSON.stringify(distinct) }).catch(unrecorded)
}

/**
 * Does `work` and records the events that it gives, as one transaction; gives its result. `work` gets the services with
 * that transaction in the place of the database.
 */
export async function audited<T>(
  request: FastifyRequest,
  work: (services: Services & { db: Transaction }) => Promise<{ result: T; events: AuditEvent[] }>,
  db: Database = request.server.services.db
): Promise<T> {
  return inTransaction(db, async (trx) => {
    const { result, events } = await work({ ...request.server.services, db: trx })
    await record(trx, originOf(request), events)
    return result
  })
}
