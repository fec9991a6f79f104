import fp from 'fastify-plugin'
import type { Config } from './config.ts'
import type { Keyring } from './crypto/keyring.ts'
import type { Database } from './db/database.ts'

export interface Services {
  readonly config: Config
  readonly db: Database
  readonly keyring: Keyring
  /** To be called after a password was changed, or its user deleted. Never throws. */
  readonly passwordChanged?: (() => Promise<void>) | undefined
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Created before the app and closed after it by the caller of `buildApp`. */
    readonly services: Services
    /** True once the process has begun to stop. */
    stopping: boolean
  }
}

export const services = fp<Services>(
  async (app, { config, db, keyring, passwordChanged }) => {
    app.decorate('services', Object.freeze({ config, db, keyring, passwordChanged }))
    app.decorate('stopping', false)
    app.addHook('preClose', async () => {
      app.stopping = true
    })
    // A keep-alive connection would delay the exit.
    app.addHook('onSend', (_request, reply, payload, done) => {
      if (app.stopping) reply.header('connection', 'close')
      done(null, payload)
    })
  },
  { name: 'services', fastify: '5.x' }
)
