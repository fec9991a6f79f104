import fp from 'fastify-plugin'
import type { Config } from './config.ts'
import type { Keyring } from './crypto/keyring.ts'
import type { Database } from './db/database.ts'

export interface Services {
  readonly config: Config
  readonly db: Database
  readonly keyring: Keyring
}

declare module 'fastify' {
  interface FastifyInstance {
    /** What the acts work with. Made before the app and closed after it, by whoever made it. */
    readonly services: Services
    /** Set when the process has begun to stop; nothing unsets it. */
    stopping: boolean
  }
}

export const services = fp<Services>(
  async (app, { config, db, keyring }) => {
    app.decorate('services', Object.freeze({ config, db, keyring }))
    app.decorate('stopping', false)
    app.addHook('preClose', async () => {
      app.stopping = true
    })
    // A caller who keeps the connection for later would keep the process as well.
    app.addHook('onSend', (_request, reply, payload, done) => {
      if (app.stopping) reply.header('connection', 'close')
      done(null, payload)
    })
  },
  { name: 'services', fastify: '5.x' }
)
