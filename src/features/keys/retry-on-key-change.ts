import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { UnknownDataKey } from '../../crypto/keyring.ts'
import { violates } from '../../db/errors.ts'
import { Unavailable } from '../../http/problems.ts'

/** A write used a data key that has been destroyed meanwhile. */
const DESTROYED_KEY = ['credential_keys_data_key_no_fkey', 'idempotency_keys_data_key_no_fkey']
/**
 * Each attempt learns of one data key. A batch may hold many made-up numbers, and must still return the other
 * values.
 */
const MAX_ATTEMPTS = { unknown: 250, destroyed: 3 }
const RETRY_AFTER_SECONDS = 5

/**
 * Runs a handler again, after loading the data keys, if it met one that this replica does not know or that
 * has been destroyed. This is safe, because a handler works with sealed values either in a transaction, which
 * its error rolls back, or before it changes anything. Responds with 503 if the data keys cannot be read.
 */
export const retryOnKeyChange = fp(
  async (app) => {
    app.addHook('onRoute', (route) => {
      const { handler } = route
      route.handler = async function (request, reply) {
        for (let attempt = 1; ; attempt++) {
          try {
            return await handler.call(this, request, reply)
          } catch (error) {
            await loadKeysAfter(app, error, attempt)
          }
        }
      }
    })
  },
  { name: 'retry-on-key-change', fastify: '5.x', dependencies: ['services', 'metrics'] }
)

/**
 * Loads the data keys that `error` is about. Throws the error to respond with if another attempt would not
 * help.
 */
async function loadKeysAfter(app: FastifyInstance, error: unknown, attempt: number): Promise<void> {
  const { keyring } = app.services
  const isUnknown = error instanceof UnknownDataKey
  if (!isUnknown && !DESTROYED_KEY.some((constraint) => violates(error, constraint))) throw error
  if (attempt >= MAX_ATTEMPTS[isUnknown ? 'unknown' : 'destroyed']) throw unavailable(error)
  try {
    await (isUnknown ? keyring.loadKey(error.number) : keyring.refresh())
  } catch (cause) {
    app.metrics.keyringRefreshFailures.inc()
    throw unavailable(cause)
  }
}

function unavailable(cause: unknown): Error {
  return new Unavailable({
    detail: 'The data keys cannot be read right now; try again.',
    retryAfter: RETRY_AFTER_SECONDS,
    cause
  })
}
