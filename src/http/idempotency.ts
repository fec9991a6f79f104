import { createHash } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { sql } from 'kysely'
import { dataKeyOf } from '../crypto/keyring.ts'
import { type Database, inTransaction, type Transaction } from '../db/database.ts'
import { IdempotencyKeyReused, ValidationFailed } from './problems.ts'

/** What a create answers: kept for the principal's key, so that a retry gets it again. */
export interface Created<T> {
  headers?: Record<string, string>
  body: T
}

interface Kept<T> extends Created<T> {
  digest: string
}

const KEY = /^[\x21-\x7e]{1,200}$/

/** The header, for the schema of every create. */
export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      pattern: '^[\\x21-\\x7e]+$',
      description:
        'A word of your own for this creation: sent again within 24 hours, it gives the first answer again',
      examples: ['8e03978e-40d5-43dd-bc93-6894a57f9324']
    })
  )
})

/**
 * Answers a create with 201: does `work`, or, when the caller has done it before under this Idempotency-Key, gives
 * the first answer again. Key, answer and what was created are one transaction; two at once wait for each other.
 * `work` gets a transaction when there is a key, and else the database.
 */
export async function answerCreated<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  work: (db: Database) => Promise<Created<T>>
): Promise<T> {
  const { db } = request.server.services
  const key = keyOf(request)
  reply.code(201)
  if (key === undefined) {
    const { headers, body } = await work(db)
    reply.headers(headers ?? {})
    return body
  }
  const { replayed, answer } = await inTransaction(db, (trx) => once(trx, request, key, work))
  reply.headers(answer.headers ?? {})
  if (replayed) reply.header('idempotency-replayed', 'true')
  return answer.body
}

// Here and not by the header's schema alone: a surface may do without schemas.
function keyOf({ headers }: FastifyRequest): string | undefined {
  const key = headers['idempotency-key']
  if (key === undefined || (typeof key === 'string' && KEY.test(key))) return key
  const message = 'This takes 1 to 200 visible characters of ASCII.'
  throw new ValidationFailed({ errors: [{ path: '/headers/idempotency-key', code: 'wrong-form', message }] })
}

async function once<T>(
  trx: Transaction,
  request: FastifyRequest,
  key: string,
  work: (db: Database) => Promise<Created<T>>
): Promise<{ replayed: boolean; answer: Created<T> }> {
  const principal = request.principal.userId
  const box = request.server.services.keyring.answers(principal, key)
  const digest = digestOf(request)
  if (!(await claim(trx, principal, key))) {
    const row = await trx
      .selectFrom('idempotency_keys')
      .select('answer')
      .where('principal', '=', principal)
      .where('key', '=', key)
      .executeTakeFirstOrThrow()
    const kept = JSON.parse(box.open([], row.answer!).toString('utf8')) as Kept<T>
    if (kept.digest !== digest) throw new IdempotencyKeyReused()
    return { replayed: true, answer: kept }
  }
  const answer = await work(trx)
  const sealed = box.seal([], Buffer.from(JSON.stringify({ digest, ...answer } satisfies Kept<T>)))
  await trx
    .updateTable('idempotency_keys')
    .set({ answer: sealed, data_key_no: dataKeyOf(sealed) })
    .where('principal', '=', principal)
    .where('key', '=', key)
    .execute()
  return { replayed: false, answer }
}

/** Whether the key is new, or its day is over; waits for a request that is using it right now. */
async function claim(trx: Transaction, principal: string, key: string): Promise<boolean> {
  const inADay = sql<Date>`now() + interval '24 hours'`
  const row = await trx
    .insertInto('idempotency_keys')
    .values({ principal, key, expires_at: inADay })
    .onConflict((conflict) =>
      conflict
        .columns(['principal', 'key'])
        .doUpdateSet({ expires_at: inADay, answer: null, data_key_no: null })
        .where('idempotency_keys.expires_at', '<=', sql<Date>`now()`)
    )
    .returning('key')
    .executeTakeFirst()
  return row !== undefined
}

// Kept inside of the sealed answer: the hash of a body with a guessable secret would give the secret away.
function digestOf(request: FastifyRequest): string {
  const { method, url, body } = request
  return createHash('sha256')
    .update(JSON.stringify([method, url, body]))
    .digest('base64')
}
