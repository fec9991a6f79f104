import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'

const MAIN = join(import.meta.dirname, '../../src/main.js')

async function onServer(server: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  await client.query(statement).finally(() => client.end())
}

/** Creates an empty database on the server of the test run. */
export async function createDatabase() {
  const server = process.env.TEST_DATABASE_URL
  if (!server) throw new Error('run this by `npm test -- test/golden/golden.test.ts`: it needs Postgres')
  const name = `golden_${randomBytes(8).toString('hex')}`
  await onServer(server, `create database ${name} template template0`)
  // The URL of a Unix socket has no host, but the URL parser requires one.
  const url = new URL(server.replace('@/', '@localhost/'))
  url.pathname = `/${name}`
  return {
    url: url.href.replace('@localhost/', '@/'),
    drop: () => onServer(server, `drop database ${name} with (force)`)
  }
}

export interface Service {
  origin: string
  /** Sends SIGTERM to the process. `stop` also waits until it exits. */
  terminate(): void
  stop(): Promise<void>
}

const SETTINGS = {
  HOST: '127.0.0.1',
  PORT: '0',
  LOG_LEVEL: 'fatal',
  // No limits, because the headers about remaining requests differ between runs.
  LATCHKEY_CALLER_REQUESTS_PER_MINUTE: '0',
  LATCHKEY_ADDRESS_REQUESTS_PER_MINUTE: '0'
}

/** Starts the service as a separate process, configured by these environment variables alone. */
export async function startService(env: Record<string, string>): Promise<Service> {
  const { PATH = '', TMPDIR = '' } = process.env
  const child = spawn(process.execPath, [MAIN], {
    cwd: tmpdir(),
    env: { PATH, ...(TMPDIR && { TMPDIR }), ...SETTINGS, ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const exited = new Promise<void>((resolve) => child.on('close', () => resolve()))
  let output = ''
  const origin = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk
      const listening = /listens on (http:\S+)/.exec(output)
      if (listening) resolve(listening[1]!)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    void exited.then(() => reject(new Error(`the service ended before it listened:\n${output}`)))
  })
  return {
    origin,
    terminate: () => child.kill('SIGTERM'),
    async stop() {
      child.kill('SIGTERM')
      await exited
    }
  }
}
