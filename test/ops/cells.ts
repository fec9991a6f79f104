import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { parse } from 'yaml'
import { newRootKey } from '../../src/root-keys/local.ts'
import { NO_LIMITS } from '../helpers/app.ts'
import { Client } from '../helpers/client.ts'
import { Contract } from '../helpers/contract.ts'
import { eventually } from '../helpers/eventually.ts'
import { freePort } from '../helpers/free-port.ts'
import { type Running, startProcess } from '../helpers/process.ts'
import { type Bed, type Daemon, missing } from './bed.ts'
import { findPostgres } from './patroni.ts'

const ROOT = join(import.meta.dirname, '../..')
/** The files that docs/operations/growing.md says to copy to /etc/haproxy. */
const FILES = join(ROOT, 'deploy/cells')
const PASSWORD = 'correct horse battery'

/** One installation: a service and its Postgres. */
export interface Cell {
  name: string
  /** The address of its service, without the router. */
  origin: string
  databaseUrl: string
  admin: { email: string; password: string }
  start(): Promise<void>
  startService(): Promise<void>
  /** Sends SIGTERM to the service, and waits until it exits. */
  stopService(): Promise<void>
  /** Kills the service and Postgres with SIGKILL. */
  kill(): Promise<void>
  /** Kills only Postgres, with SIGKILL. */
  killPostgres(): Promise<void>
  startPostgres(): Promise<void>
}

export interface Cells {
  cells: Cell[]
  /** Creates a client of the router that is not signed in. */
  client(): Client
  /** The address of the router. */
  origin: string
  contract: Contract
}

/** Returns why the test must be skipped, or undefined. */
export async function missingForCells(): Promise<string | undefined> {
  if (!(await findPostgres())) return "Debian's Postgres server is not installed"
  return missing('haproxy')
}

/** Starts the cells a, b and c, and the router in front of them, with the files in `deploy/cells`. */
export async function startCells(t: Test, bed: Bed): Promise<Cells> {
  const routerPort = await freePort()
  const template = join(bed.directory, 'template')
  const initdb = join((await findPostgres())!, 'initdb')
  await bed.run(initdb, ['-D', template, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '-N'])
  const cells: Cell[] = []
  let config = await readFile(join(FILES, 'haproxy.cfg'), 'utf8')
  for (const [index, name] of ['a', 'b', 'c'].entries()) {
    const port = await freePort()
    config = config.replaceAll(`127.0.0.1:810${index + 1}`, `127.0.0.1:${port}`)
    cells.push(await makeCell(t, bed, { name, template, port, publicUrl: `http://127.0.0.1:${routerPort}` }))
  }
  await Promise.all(cells.map((cell) => cell.start()))
  for (const file of await readdir(FILES)) {
    if (/\.(map|http)$/.test(file))
      await bed.write(`cells/${file}`, await readFile(join(FILES, file), 'utf8'))
  }
  const text = config
    .replaceAll('/etc/haproxy/cells', join(bed.directory, 'cells'))
    .replace('127.0.0.1:8080', `127.0.0.1:${routerPort}`)
    .replace('127.0.0.1:8405', `127.0.0.1:${await freePort()}`)
    // The bed already runs it as an unprivileged user.
    .replace(/^ {2}(user|group) haproxy\n/gm, '')
  bed.start('haproxy', 'haproxy', ['-db', '-f', await bed.write('haproxy.cfg', text)])
  const origin = `http://127.0.0.1:${routerPort}`
  const contract = new Contract(parse(await readFile(join(ROOT, 'openapi.yaml'), 'utf8')))
  const isUp = () => fetch(`${origin}/readyz`).then(({ status }) => status === 200)
  await eventually(() => isUp().catch(() => false), 'the router is up', 30_000)
  return { cells, origin, contract, client: () => new Client(origin, contract) }
}

interface Place {
  name: string
  /** A Postgres data directory to copy. */
  template: string
  port: number
  publicUrl: string
}

async function makeCell(t: Test, bed: Bed, { name, template, port, publicUrl }: Place): Promise<Cell> {
  const bin = (await findPostgres())!
  const data = join(bed.directory, `postgres-${name}`)
  const databasePort = await freePort()
  await bed.run('cp', ['-a', template, data])
  const databaseUrl = `postgresql://postgres@127.0.0.1:${databasePort}/postgres`
  const email = name === 'a' ? 'admin@example.org' : `admin-${name}@example.org`
  const rootKey = newRootKey(name)
  let postgres: Daemon
  let service: Running
  const cell: Cell = {
    name,
    origin: `http://127.0.0.1:${port}`,
    databaseUrl,
    admin: { email, password: PASSWORD },
    async startPostgres() {
      // Without fsync (-F), because SIGKILL does not lose what was written to the kernel.
      const options = ['-F', '-p', String(databasePort), '-k', bed.directory, '-h', '127.0.0.1']
      postgres = bed.start(`postgres-${name}.log`, join(bin, 'postgres'), ['-D', data, ...options])
      const accepts = () => bed.run(join(bin, 'pg_isready'), ['-h', '127.0.0.1', '-p', String(databasePort)])
      const isUp = () =>
        accepts().then(
          () => true,
          () => false
        )
      await eventually(isUp, `the Postgres of cell ${name} is up`, 60_000)
    },
    async start() {
      await cell.startPostgres()
      await cell.startService()
    },
    async startService() {
      service = startProcess(t, bed.directory, {
        DATABASE_URL: databaseUrl,
        LATCHKEY_ROOT_KEYS: rootKey,
        LATCHKEY_ADMIN_EMAIL: email,
        LATCHKEY_ADMIN_PASSWORD: PASSWORD,
        LATCHKEY_CELL: name,
        PORT: String(port),
        PUBLIC_URL: publicUrl,
        TRUST_PROXY: '127.0.0.1',
        LOG_LEVEL: 'warn',
        ...NO_LIMITS
      })
      await service.printed(/listens on/)
    },
    async stopService() {
      service.child.kill('SIGTERM')
      await service.exited
    },
    async killPostgres() {
      postgres.child.kill('SIGKILL')
      await postgres.exited
    },
    async kill() {
      service.child.kill('SIGKILL')
      await Promise.all([service.exited, cell.killPostgres()])
    }
  }
  return cell
}
