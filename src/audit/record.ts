import type { FastifyRequest } from 'fastify'
import type { CallerTransactionOptions } from '../auth/caller-transaction.ts'
import { callerOf, tokenOf } from '../auth/principal.ts'
import { createBatcher } from '../db/batcher.ts'
import type { Database, Transaction } from '../db/database.ts'
import { isRetryable, unavailability } from '../db/errors.ts'
import { addressOf } from '../http/address.ts'
import { Unauthenticated, Unavailable } from '../http/problems.ts'
import { uuidv7 } from '../ids.ts'
import type { Services } from '../services.ts'
import {
  insertDenialRows,
  insertEventRows,
  insertSecretReads,
  type NewDenial,
  type NewEvent,
  type NewSecretRead
} from './event-repository.ts'

/** The type of resource that an event is about. */
export type TargetType =
  | 'session'
  | 'user'
  | 'access-token'
  | 'project'
  | 'credential-type'
  | 'credential'
  | 'data-key'
  | 'audit-log'

/** A completed action. Never contains a credential's value or anything derived from one. */
export interface AuditEvent {
  action: string
  /** The id is null for a data key, which has a number, and for the audit log. */
  target: { type: TargetType; id: string | null; name?: string | null }
  /** Set for credentials: the owner sees the event. */
  ownerId?: string
  projectId?: string | null
  details?: Record<string, string | number | boolean | null | string[]>
}

/** The actor, and the request with which they acted. */
export type Origin = Required<
  Pick<NewEvent, 'actor_type' | 'actor_id' | 'actor_name' | 'ip' | 'user_agent' | 'request_id'>
>

/** The origin of actions of the service itself, or of the operator on the command line. */
export function systemOrigin(name: 'service' | 'command line'): Origin {
  return {
    actor_type: 'system',
    actor_id: null,
    actor_name: name,
    ip: null,
    user_agent: null,
    request_id: null
  }
}

export function originOf(request: FastifyRequest): Origin {
  const { caller } = request
  return {
    actor_type: caller === null ? 'anonymous' : caller.type === 'session' ? 'user' : caller.type,
    actor_id: caller?.type === 'project-token' ? caller.tokenId : (caller?.userId ?? null),
    actor_name: caller?.name ?? null,
    ip: addressOf(request),
    user_agent: request.headers['user-agent']?.slice(0, 500) ?? null,
    request_id: request.id
  }
}

/** Converts events to rows for `insertEvents`. */
export function eventRows(origin: Origin, events: readonly AuditEvent[]): NewEvent[] {
  return events.map(({ action, target, ownerId = null, projectId = null, details = {} }) => ({
    id: uuidv7(),
    action,
    outcome: 'allowed',
    ...origin,
    target_type: target.type,
    target_id: target.id,
    target_name: target.name ?? null,
    owner_id: ownerId,
    project_id: projectId,
    details
  }))
}

/** Throws Unavailable, or a retryable error unchanged, so that the transaction is run again. */
function failRecording(error: unknown): never {
  if (isRetryable(error)) throw error
  const reason = unavailability(error) ?? 'The audit log cannot be written'
  throw new Unavailable({ detail: `${reason}; try again.`, retryAfter: 2, cause: error })
}

/**
 * Records events in the transaction of the change that they describe. If this fails, the change must fail
 * too.
 */
export async function record(db: Database, origin: Origin, events: readonly AuditEvent[]): Promise<void> {
  if (events.length === 0) return
  await insertEventRows(db, eventRows(origin, events)).catch(failRecording)
}

const insertBatched = createBatcher<Database, NewSecretRead[], boolean>((db) => ({
  async run(batch) {
    const inserted = await insertSecretReads(db, batch.flat())
    return batch.map((rows) => rows.every((row) => inserted.has(row.id)))
  },
  maxSize: 500,
  concurrency: 1
}))

/**
 * Records and commits the events of a read of secrets before the response is sent, so that no read is missing
 * from the log. The statement also checks that the caller's session or token is still valid; throws
 * Unauthenticated if not. Concurrent calls share a statement.
 */
export async function recordSecretRead(
  request: FastifyRequest,
  events: readonly AuditEvent[]
): Promise<void> {
  if (events.length === 0) return
  const { db } = request.server.services
  const { kind, id } = tokenOf(callerOf(request))
  const rows = eventRows(originOf(request), events).map((row) => ({
    ...row,
    caller_kind: kind,
    caller_token_id: id
  }))
  if (!(await insertBatched(db, rows).catch(failRecording))) throw new Unauthenticated()
}

export interface Denial {
  action: string
  target: { type: TargetType; id: string } | undefined
  projectId: string | null
  details: Record<string, string | number>
  /** Record only if the target exists. */
  ifExists: boolean
}

/** Records denials. Repetitions by the same actor within a minute are counted in the first event. */
export async function recordDenials(db: Database, origin: Origin, denials: readonly Denial[]): Promise<void> {
  if (denials.length === 0) return
  const rows = denials.map(
    ({ action, target, projectId, details, ifExists }): NewDenial => ({
      id: uuidv7(),
      action,
      outcome: 'denied',
      ...origin,
      target_type: target?.type ?? null,
      target_id: target?.id ?? null,
      project_id: projectId,
      details,
      fold_key: [
        action,
        origin.actor_type,
        origin.actor_id ?? origin.ip,
        target?.id,
        ...Object.values(details)
      ].join('/'),
      if_exists: ifExists
    })
  )
  // A statement cannot update one row twice.
  const distinct = [...new Map(rows.map((row) => [row.fold_key, row])).values()]
  await insertDenialRows(db, distinct).catch(failRecording)
}

/**
 * Runs `work` and records the events that it returns in one caller transaction, and returns its result.
 * `work` gets the services with the transaction as their database.
 */
export async function audited<T>(
  request: FastifyRequest,
  work: (services: Services & { db: Transaction }) => Promise<{ result: T; events: AuditEvent[] }>,
  options?: CallerTransactionOptions
): Promise<T> {
  const { server } = request
  return server.inCallerTransaction(
    request,
    async (trx) => {
      const { result, events } = await work({ ...server.services, db: trx })
      await record(trx, originOf(request), events)
      return result
    },
    options
  )
}
