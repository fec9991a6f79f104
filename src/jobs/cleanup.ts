import fp from 'fastify-plugin'
import { sql } from 'kysely'

const EVERY_MS = 10 * 60_000
const BATCH = 5_000

/** Deletes what has expired, now and then, in bounded batches; replicas may do it at once. */
export const cleanup = fp(
  async (app) => {
    const { db, config } = app.services
    const idle = sql<boolean>`last_seen_at < now() - make_interval(mins => ${config.sessionIdleMinutes})`
    async function sweep() {
      await sql`delete from sessions where ctid = any(array(
        select ctid from sessions where expires_at < now() or ${idle} limit ${BATCH}))`.execute(db)
      await sql`delete from login_failures where ctid = any(array(
        select ctid from login_failures where at < now() - interval '1 hour' limit ${BATCH}))`.execute(db)
      await sql`delete from idempotency_keys where ctid = any(array(
        select ctid from idempotency_keys where expires_at < now() limit ${BATCH}))`.execute(db)
    }
    let running: Promise<void> = Promise.resolve()
    const timer = setInterval(() => {
      running = sweep().catch((error) => app.log.warn({ err: error }, 'cleanup failed'))
    }, EVERY_MS)
    timer.unref()
    app.addHook('onClose', async () => {
      clearInterval(timer)
      await running
    })
  },
  { name: 'cleanup', fastify: '5.x', dependencies: ['services'] }
)
