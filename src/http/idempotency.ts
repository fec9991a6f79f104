import { createHash } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Database, Transaction } from '../db/database.ts'
import { isRawNumber, parseLossless } from '../json.ts'
import { claimKey, findAnswer, saveAnswer } from './idempotency-repository.ts'
import { IdempotencyKeyReused, ValidationFailed } from './problems.ts'

/** The response to a create. With an Idempotency-Key it is stored, so that a retry gets it again. */
export interface Created<T> {
  headers?: Record<string, string>
  body: T
}

/** Throws if the stored response must not be sent again. */
export type BeforeReplay<T> = (trx: Transaction, body: T) => Promise<void>

interface StoredAnswer<T> extends Created<T> {
  /**
   * A hash of the request. Stored inside the encrypted response, because the body may contain a guessable
   * secret.
   */
  digest: string
}

const KEY = /^[\x21-\x7e]{1,200}$/

/** The headers of every create, for its schema. */
export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      pattern: '^[\\x21-\\x7e]+$',
      expected: 'visible ASCII characters without spaces',
      description:
        'Any string you choose. It makes retries safe: for 24 hours, the same request with the same key ' +
        'returns the first response again',
      examples: ['8e03978e-40d5-43dd-bc93-6894a57f9324']
    })
  )
})

/**
 * Same as `created`, for work that records its own events. `work` receives a transaction if the request has
 * an Idempotency-Key, and the database otherwise.
 */
export async function answerCreated<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  work: (db: Database) => Promise<Created<T>>,
  beforeReplay?: BeforeReplay<T>
): Promise<T> {
  const { db } = request.server.services
  const key = idempotencyKeyOf(request)
  const { answer, replayed } =
    key === undefined
      ? { answer: await work(db), replayed: false }
      : await request.server.inCallerTransaction(request, (trx) =>
          runOnce(trx, request, key, work, beforeReplay)
        )
  reply.code(201).headers(answer.headers ?? {})
  if (replayed) reply.header('idempotency-replayed', 'true')
  return answer.body
}

// Checked here as well as in the schema, because Lightning's routes do not validate by schema.
function idempotencyKeyOf({ headers }: FastifyRequest): string | undefined {
  const key = headers['idempotency-key']
  if (key === undefined || (typeof key === 'string' && KEY.test(key))) return key
  const message = 'This must be 1 to 200 visible ASCII characters without spaces.'
  throw new ValidationFailed({ errors: [{ path: '/headers/idempotency-key', code: 'wrong-form', message }] })
}

/** Runs `work` if the key is new; otherwise returns the stored response. Throws IdempotencyKeyReused. */
async function runOnce<T>(
  trx: Transaction,
  request: FastifyRequest,
  key: string,
  work: (db: Database) => Promise<Created<T>>,
  beforeReplay: BeforeReplay<T> | undefined
): Promise<{ answer: Created<T>; replayed: boolean }> {
  const principal = request.principal.userId
  const sealer = request.server.services.keyring.answers(principal, key)
  const digest = digestOf(request)
  if (await claimKey(trx, principal, key)) {
    const answer = await work(trx)
    const stored: StoredAnswer<T> = { digest, ...answer }
    await saveAnswer(trx, principal, key, sealer.seal([], Buffer.from(JSON.stringify(stored))))
    return { answer, replayed: false }
  }
  const json = sealer.open([], await findAnswer(trx, principal, key)).toString('utf8')
  const answer = parseLossless(json) as StoredAnswer<T>
  if (answer.digest !== digest) throw new IdempotencyKeyReused()
  await beforeReplay?.(trx, answer.body)
  return { answer, replayed: true }
}

/** Two bodies that differ only in the order of members, white space or escapes have the same digest. */
function digestOf({ method, url, body }: FastifyRequest): string {
  return createHash('sha256')
    .update(JSON.stringify([method, url, body], sortMembers))
    .digest('base64')
}

function sortMembers(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || isRawNumber(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
}
