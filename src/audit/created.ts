import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Database, Transaction } from '../db/database.ts'
import { answerCreated, type BeforeReplay, type Created } from '../http/idempotency.ts'
import type { Services } from '../services.ts'
import { type AuditEvent, audited } from './record.ts'

/**
 * Responds to a create with 201. `work` runs in one transaction with the events that it returns and, if the
 * request has an Idempotency-Key, the stored response. A retry with the same key gets the stored response.
 */
export function created<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  work: (services: Services & { db: Transaction }) => Promise<Created<T> & { events: AuditEvent[] }>,
  beforeReplay?: BeforeReplay<T>
): Promise<T> {
  const create = (db: Database) =>
    audited(
      request,
      async (services) => {
        const { events, ...result } = await work(services)
        return { result, events }
      },
      { db }
    )
  return answerCreated(request, reply, create, beforeReplay)
}
