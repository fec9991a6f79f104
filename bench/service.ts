import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Running, start } from './process.ts'

/** Includes the time to migrate a copy of the template. */
const READY_WITHIN_MS = 120_000

/** A listening server in a child process. */
export interface Server {
  readonly pid: number
  readonly origin: string
  /** From the spawn until the service is ready. */
  readonly startMs: number
  stop(): Promise<void>
}

/**
 * Starts the service of a checkout as its `npm start` does. Relies only on the start script in package.json
 * and on environment variables, so that checkouts with another layout can be measured.
 */
export async function startService(
  checkout: string,
  env: { DATABASE_URL: string; LATCHKEY_ROOT_KEYS: string } & Record<string, string>,
  signal: AbortSignal
): Promise<Server> {
  const { scripts } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8'))
  const [node, ...args] = (scripts.start as string).split(' ')
  if (node !== 'node')
    throw new Error(`the start script of ${checkout} does not start node: ${scripts.start}`)
  return startServer(args, '/readyz', { ...SETTINGS, ...env }, checkout, signal)
}

/**
 * The longest session times, so that sessions in saved data stay valid, and rate limits that are enforced
 * but that one machine does not reach.
 */
const SETTINGS = {
  LATCHKEY_SESSION_IDLE_MINUTES: '10080',
  LATCHKEY_SESSION_MAX_HOURS: '720',
  LATCHKEY_CALLER_REQUESTS_PER_MINUTE: '10000000',
  LATCHKEY_ADDRESS_REQUESTS_PER_MINUTE: '10000000'
}

/** Starts `bench/reference.ts`. */
export function startReference(url: string, signal: AbortSignal): Promise<Server> {
  const directory = import.meta.dirname
  return startServer([join(directory, 'reference.ts')], '/bare', { DATABASE_URL: url }, directory, signal)
}

async function startServer(
  args: readonly string[],
  readyPath: string,
  env: Record<string, string>,
  cwd: string,
  signal: AbortSignal
): Promise<Server> {
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const began = performance.now()
  const running = start(process.execPath, args, { env: { ...env, PORT: String(port) }, cwd, signal })
  try {
    await ready(running, `${origin}${readyPath}`, signal)
    return { pid: running.pid, origin, startMs: performance.now() - began, stop: running.stop }
  } catch (error) {
    await running.stop()
    throw error
  }
}

async function ready(running: Running, url: string, signal: AbortSignal): Promise<void> {
  let ended = false
  running.ended.then(
    () => (ended = true),
    () => (ended = true)
  )
  for (const deadline = Date.now() + READY_WITHIN_MS; ; await sleep(5)) {
    const answer = await fetch(url, { signal }).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer?.status === 200) return
    signal.throwIfAborted()
    if (ended || Date.now() > deadline) throw new Error(`${url} is not ready\n${running.errors()}`)
  }
}

function freePort(): Promise<number> {
  const server = createServer()
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject()))
    })
  })
}
