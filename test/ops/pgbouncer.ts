import { execFile } from 'node:child_process'
import { copyFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { eventually } from '../helpers/eventually.ts'
import { freePort } from '../helpers/free-port.ts'
import { type Bed, type Daemon, findProgram } from './bed.ts'
import { fileOnPage } from './page.ts'

const execute = promisify(execFile)
const PASSWORD = 'secret'
/** Where build-pgbouncer.sh puts it. */
const BUILT = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'latchkey-ops/pgbouncer')

/** The programs of PgBouncer that are here, by whether they are of 1.21 or later. */
export async function findPgbouncers(): Promise<{ recent?: string; old?: string }> {
  const found: { recent?: string; old?: string } = {}
  for (const path of [BUILT, await findProgram('pgbouncer')]) {
    if (!path) continue
    const { stdout } = await execute(path, ['--version']).catch(() => ({ stdout: '' }))
    const [, minor] = /^PgBouncer 1\.(\d+)/.exec(stdout) ?? []
    if (minor) found[Number(minor) >= 21 ? 'recent' : 'old'] ??= path
  }
  return found
}

export interface Pooler {
  /** The URL of the same database and role through the pooler. */
  through(databaseUrl: string): string
  start(): Promise<void>
  /** Ends it by kill -9. */
  kill(): Promise<void>
  /** Has it open its connections to the server anew. */
  reconnect(): Promise<void>
}

/**
 * Starts a PgBouncer before the server of the test run, with the file on the page, and with `settings` where
 * the page leaves a default. `roles` may connect.
 */
export async function startPgbouncer(
  bed: Bed,
  program: string,
  roles: string[],
  settings: Record<string, string | number> = {}
): Promise<Pooler> {
  const port = await freePort()
  const directory = await bed.makeDirectory(`pgbouncer-${port}`)
  // Where root built it, nobody else may be able to run it.
  const executable = join(directory, 'pgbouncer')
  await copyFile(program, executable)
  const users = [...roles, 'console'].map((role) => `"${role}" "${PASSWORD}"\n`)
  const { host: server, port: serverPort } = new pg.Client({
    connectionString: process.env['TEST_DATABASE_URL']
  })
  const additional = Object.entries({ unix_socket_dir: directory, admin_users: 'console', ...settings })
  const file = await bed.write(
    `pgbouncer-${port}/pgbouncer.ini`,
    (await fileOnPage('/etc/pgbouncer/pgbouncer.ini'))
      .replace(/^latchkey = .*$/m, `* = host=${server} port=${serverPort}`)
      .replace(/^(listen_port) = .*$/m, `$1 = ${port}`)
      .replace(/^(auth_file) = .*$/m, `$1 = ${await bed.write(`pgbouncer-${port}/users`, users.join(''))}`)
      .concat(...additional.map(([name, value]) => `${name} = ${value}\n`))
  )
  const url = (role: string, database: string) =>
    `postgresql://${role}:${PASSWORD}@127.0.0.1:${port}/${database}`
  const tell = async (command: string) => {
    const client = new pg.Client({ connectionString: url('console', 'pgbouncer') })
    await client.connect()
    await client.query(command).finally(() => client.end())
  }
  let running: Daemon
  const start = async () => {
    running = bed.start(`pgbouncer-${port}/log`, executable, [file])
    const isUp = () =>
      tell('show version').then(
        () => true,
        () => false
      )
    await eventually(isUp, `PgBouncer is up: ${await running.output()}`)
  }
  await start()
  return {
    through(databaseUrl) {
      const { user, database } = new pg.Client({ connectionString: databaseUrl })
      return url(user!, database!)
    },
    start,
    async kill() {
      running.child.kill('SIGKILL')
      await running.exited
    },
    reconnect: () => tell('reconnect')
  }
}
