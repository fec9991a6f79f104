import closeWithGrace from 'close-with-grace'
import { buildApp } from './app.ts'
import { readConfig } from './config.ts'
import { PAGE } from './config-variables.ts'
import type { FirstAdministrator } from './first-administrator.ts'
import { portFault, requireFreePorts } from './ports.ts'
import { start } from './start.ts'
import { COMMAND, fail, print, shellWord } from './terminal.ts'

/** Time for load balancers to see that /readyz returns 503, before the server stops accepting requests. */
const DRAIN_MS = 1_000
const SHUTDOWN_TIMEOUT_MS = 30_000
const PARENT_CHECK_MS = 500

// Until the service listens, a signal makes the process exit, and the exit handlers stop Postgres.
const abort = () => process.exit(1)
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
for (const signal of SIGNALS) process.once(signal, abort)
const parentOption = process.argv.find((word) => /^--end-with-parent(=|$)/.test(word))
const parentCheck = parentOption === undefined ? undefined : endWithParent(parentOption)

try {
  const config = readConfig()
  for (const variable of config.unknownVariables)
    print(`${variable} is not a Latchkey variable and is ignored; see ${PAGE}`)
  await requireFreePorts(config)
  let logConnectionError: ((error: Error) => void) | undefined
  const service = await start(config, {
    notice: print,
    connectionError: (error) => logConnectionError?.(error),
    databaseEnded: () =>
      fail('the embedded Postgres stopped unexpectedly; its log is postgres.log in the data directory')
  })
  const app = await buildApp(service)
  logConnectionError = (error) => app.log.warn({ err: error }, 'a database connection ended')
  const address = await app.listen({ host: config.host, port: config.port }).catch(async (error) => {
    await service.close()
    throw portFault(error, config)
  })
  print(`Latchkey listens on ${address}`)
  print(`Swagger UI: ${address}/docs`)
  if (service.administrator) print(`Administrator: ${administratorLine(service.administrator)}`)
  for (const signal of SIGNALS) process.off(signal, abort)
  closeWithGrace({ delay: SHUTDOWN_TIMEOUT_MS, logger: false }, async ({ signal, err }) => {
    clearInterval(parentCheck)
    if (err) app.log.fatal({ err }, 'stopping after an unexpected error')
    app.stopping = true
    if (signal === 'SIGTERM') await new Promise((resolve) => setTimeout(resolve, DRAIN_MS))
    await app.close()
    await service.close()
  })
} catch (error) {
  fail((error as Error).message)
}

/**
 * Stops the service when its parent has ended. npm runs scripts in a shell. The SIGTERM that npm forwards
 * ends the shell, which does not forward it. The option contains the pid of the shell, which may have ended
 * before this runs. If the shell has replaced itself with this process, it is this process's own pid, or no
 * number.
 */
function endWithParent(option: string): NodeJS.Timeout {
  const given = Number(option.slice(option.indexOf('=') + 1))
  const parent = given > 0 && given !== process.pid ? given : process.ppid
  return setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM')
  }, PARENT_CHECK_MS)
}

function administratorLine({ email, password }: FirstAdministrator): string {
  if (password === 'as configured') return `${email}, password as in LATCHKEY_ADMIN_PASSWORD`
  if (password === 'unknown')
    return `${email}, with your own password (if lost: ${COMMAND} users reset-password ${shellWord(email)})`
  return `${email}, password ${password.kept}`
}
