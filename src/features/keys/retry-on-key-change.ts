import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { UnknownDataKey } from '../../crypto/keyring.ts'
import { violates } from '../../db/errors.ts'
import { Unavailable } from '../../http/problems.ts'

/** A write under a data key that has been destroyed meanwhile. */
const DESTROYED = ['credential_keys_data_key_no_fkey', 'idempotency_keys_data_key_no_fkey']
/** Each run learns of one number. A batch may hold many that somebody made up, and hands out the others all the same. */
const MOST_RUNS = { unknown: 250, destroyed: 3 }
const RETRY_AFTER = 5

/**
 * Runs a handler again when it met a data key that this replica has not heard of, or used one that is gone, after the
 * keyring has been refreshed: the caller does not notice that keys change. That is right because all that a handler does
 * with sealed values is in a transaction, which its error has rolled back, or before it does anything. Answers 503 when
 * the keys cannot be read.
 */
export const retryOnKeyChange = fp(
  async (app) => {
    app.addHook('onRoute', (route) => {
      const { handler } = route
      route.handler = async function (request, reply) {
        for (let run = 1; ; run++) {
          try {
            return await handler.call(this, request, reply)
          } catch (error) {
            await catchUp(app, error, run)
          }
        }
      }
    })
  },
  { name: 'fresh-keys', fastify: '5.x', dependencies: ['services', 'metrics'] }
)

/** Brings the keyring up to what `error` was about; throws what there is to answer when running again is no use. */
async function catchUp({ services, metrics }: FastifyInstance, error: unknown, run: number): Promise<void> {
  const { keyring } = services
  const isUnknown = error instanceof UnknownDataKey
  if (!isUnknown && !DESTROYED.some((constraint) => violates(error, constraint))) throw error
  if (run >= MOST_RUNS[isUnknown ? 'unknown' : 'destroyed']) throw unavailable(error)
  try {
    await (isUnknown ? keyring.find(error.number) : keyring.refresh())
  } catch (cause) {
    metrics.keyringRefreshFailures.inc()
    throw unavailable(cause)
  }
}

function unavailable(cause: unknown): Error {
  return new Unavailable({
    detail: 'The data keys cannot be read right now; try again.',
    retryAfter: RETRY_AFTER,
    cause
  })
}
