import closeWithGrace from 'close-with-grace'
import { buildApp } from './app.ts'
import { readConfig } from './config.ts'
import { start } from './start.ts'
import { fail, tell } from './terminal.ts'

/** How long load balancers have to see /readyz say 503 before the door closes. */
const DRAIN_MS = 1_000
const LONGEST_STOP_MS = 30_000

try {
  const config = readConfig()
  let log: ((error: Error) => void) | undefined
  const started = await start(config, {
    notice: tell,
    connectionError: (error) => log?.(error),
    databaseEnded: () => fail('The embedded Postgres ended; its log is in the data directory.')
  })
  const app = await buildApp(started)
  log = (error) => app.log.warn({ err: error }, 'a database connection ended')
  const address = await app.listen({ host: config.host, port: config.port }).catch(async (error) => {
    await started.close()
    throw error
  })
  tell(`Latchkey listens on ${address}`)
  tell(`Swagger UI: ${address}/docs`)
  if (started.administrator) {
    const { email, password } = started.administrator
    tell(`Administrator: ${email}, password ${password ?? 'as in LATCHKEY_ADMIN_PASSWORD'}`)
  }
  closeWithGrace({ delay: LONGEST_STOP_MS, logger: false }, async ({ signal, err }) => {
    if (err) app.log.fatal({ err }, 'stopping after an unexpected error')
    app.stopping = true
    if (signal === 'SIGTERM') await new Promise((resolve) => setTimeout(resolve, DRAIN_MS))
    await app.close()
    await started.close()
  })
} catch (error) {
  fail((error as Error).message)
}
