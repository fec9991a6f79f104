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
/** The program that build-pgbouncer.sh builds. */
const BUILT = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'latchkey-ops/pgbouncer')

/** Returns the paths of the installed PgBouncers: `recent` is 1.21 or later, `old` is earlier. */
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
  /** Returns the URL of the same database and role through the pooler. */
  through(databaseUrl: string): string
  start(): Promise<void>
  /** Kills it with SIGKILL. */
  kill(): Promise<void>
  /** Reopens its connections to the server. */
  reconnect(): Promise<void>
}

export interface PoolerOptions {
  program: string
  /** The passwords of the users who may connect. */
  users: Record<string, string>
  /** The server, as in pgbouncer.ini: `host=… port=…`. */
  server: string
  /** Further lines of pgbouncer.ini. */
  more?: string
}

/** Starts a PgBouncer with the files on the page. */
export async function startPgbouncer(bed: Bed, options: PoolerOptions): Promise<Pooler> {
  const { program, server, more = '' } = options
  const users: Record<string, string> = { ...options.users, console: 'secret' }
  const port = await freePort()
  const name = `pgbouncer-${port}`
  const directory = await bed.makeDirectory(name)
  // If root built it, other users may be unable to run it.
  const executable = join(directory, 'pgbouncer')
  await copyFile(program, executable)
  const list = Object.entries(users).map(([user, password]) => `"${user}" "${password}"\n`)
  const auth = await bed.write(`${name}/userlist.txt`, list.join(''))
  const text = (await fileOnPage('/etc/pgbouncer/pgbouncer.ini'))
    .replace(/^latchkey = .*$/m, `* = ${server}`)
    .replace(/^(listen_port) = .*$/m, `$1 = ${port}`)
    .replace(/^(auth_file) = .*$/m, `$1 = ${auth}`)
    .concat(`unix_socket_dir = ${directory}\nadmin_users = console\n${more}`)
  const file = await bed.write(`${name}/pgbouncer.ini`, text)
  const url = (user: string, database: string) =>
    `postgresql://${user}:${encodeURIComponent(users[user]!)}@127.0.0.1:${port}/${database}`
  const tell = async (command: string) => {
    const client = new pg.Client({ connectionString: url('console', 'pgbouncer') })
    await client.connect()
    await client.query(command).finally(() => client.end())
  }
  let running: Daemon
  const start = async () => {
    running = bed.start(`${name}/log`, executable, [file])
    const isUp = () =>
      tell('show version').then(
        () => true,
        () => false
      )
    await eventually(isUp, 'PgBouncer is up')
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
