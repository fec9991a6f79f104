import closeWithGrace from 'close-with-grace'
import { buildApp } from './app.ts'
import { readConfig } from './config.ts'
import { start } from './start.ts'
import { fail, print } from './terminal.ts'

/** Time for load balancers to see that /readyz answers 503, before the server stops accepting requests. */
const DRAIN_MS = 1_000
const SHUTDOWN_TIMEOUT_MS = 30_000

try {
  const config = readConfig()
  let logConnectionError: ((error: Error) => void) | undefined
  const service = await start(config, {
    notice: print,
    connectionError: (error) => logConnectionError?.(error),
    databaseEnded: () => fail('The embedded Postgres ended; its log is in the data directory.')
  })
  const app = await buildApp(service)
  logConnectionError = (error) => app.log.warn({ err: error }, 'a database connection ended')
  const address = await app.listen({ host: config.host, port: config.port }).catch(async (error) => {
    await service.close()
    throw error
  })
  print(`Latchkey listens on ${address}`)
  print(`Swagger UI: ${address}/docs`)
  if (service.administrator) {
    const { email, password } = service.administrator
    print(`Administrator: ${email}, password ${password ?? 'as in LATCHKEY_ADMIN_PASSWORD'}`)
  }
  closeWithGrace({ delay: SHUTDOWN_TIMEOUT_MS, logger: false }, async ({ signal, err }) => {
    if (err) app.log.fatal({ err }, 'stopping after an unexpected error')
    app.stopping = true
    if (signal === 'SIGTERM') await new Promise((resolve) => setTimeout(resolve, DRAIN_MS))
    await app.close()
    await service.close()
  })
} catch (error) {
  fail((error as Error).message)
}
