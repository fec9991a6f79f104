import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import packageJson from '../package.json' with { type: 'json' }
import { type Running, start } from './process.ts'

const STARTED_WITHIN_MS = 30_000

/** A server that listens, in a process of its own. */
export interface Server {
  readonly pid: number
  readonly origin: string
  /** From its spawning to its first answer that it is ready. */
  readonly startMs: number
  output(): string
  stop(): Promise<void>
}

/** The service as `npm start` starts it, on this database, which is already migrated and has users. */
export function startService(
  database: { url: string; rootKeys: string },
  directory: string,
  signal: AbortSignal
): Promise<Server> {
  const env = {
    DATABASE_URL: database.url,
    LATCHKEY_ROOT_KEYS: database.rootKeys,
    LOG_LEVEL: 'warn',
    PORT: '0',
    // The seeded sessions have to last for the run.
    LATCHKEY_SESSION_IDLE_MINUTES: '240'
  }
  // `node`, its options, and the program.
  const options = packageJson.scripts.start.split(' ').slice(1, -1)
  return startServer('../src/main.js', '/readyz', env, directory, signal, options)
}

/** The routes to compare with, `bench/reference.ts`. */
export function startReference(url: string, directory: string, signal: AbortSignal): Promise<Server> {
  return startServer('reference.ts', '/bare', { DATABASE_URL: url }, directory, signal)
}

async function startServer(
  file: string,
  readyPath: string,
  env: Record<string, string>,
  cwd: string,
  signal: AbortSignal,
  options: readonly string[] = []
): Promise<Server> {
  const began = performance.now()
  const running = start(process.execPath, [...options, join(import.meta.dirname, file)], { env, cwd, signal })
  try {
    const [, origin] = await running.printed(/listens on (http:\S+)/, STARTED_WITHIN_MS)
    await ready(running, `${origin}${readyPath}`, signal)
    const startMs = performance.now() - began
    return { pid: running.pid, origin: origin!, startMs, output: running.output, stop: running.stop }
  } catch (error) {
    await running.stop()
    throw error
  }
}

async function ready(running: Running, url: string, signal: AbortSignal): Promise<void> {
  for (const deadline = Date.now() + STARTED_WITHIN_MS; ; await sleep(5)) {
    const answer = await fetch(url, { signal }).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer?.status === 200) return
    signal.throwIfAborted()
    if (Date.now() > deadline) throw new Error(`not ready: ${url}\n${running.output()}`)
  }
}
