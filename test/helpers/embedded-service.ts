import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { startProcess } from './process.ts'

/** Creates a directory for the data directory of a service; removed when the test ends. */
export async function newDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-start-'))
  // Under root, Postgres runs as another user, who must reach the directory.
  await chmod(directory, 0o755)
  t.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
  return directory
}

export const json = { 'content-type': 'application/json' }

export async function signIn(origin: string, email: string, password: string) {
  const answer = await fetch(`${origin}/api/v1/session`, {
    method: 'POST',
    headers: json,
    body: JSON.stringify({ email, password })
  })
  return { status: answer.status, cookie: answer.headers.get('set-cookie')?.split(';')[0] ?? '' }
}

/** Starts the service with its embedded Postgres, and waits until it listens. */
export async function startEmbeddedService(t: Test, cwd: string, env: Record<string, string> = {}) {
  const running = startProcess(t, cwd, { LOG_LEVEL: 'silent', ...env })
  const [, origin = ''] = await running.printed(/listens on (http:\S+)/)
  const [, administrator = ''] = await running.printed(/^Administrator: (.*)$/m)
  return {
    ...running,
    origin,
    /** What it prints about the administrator. */
    administrator,
    async stop() {
      running.child.kill('SIGINT')
      if ((await running.exited) !== 0) throw new Error(running.output())
    }
  }
}
