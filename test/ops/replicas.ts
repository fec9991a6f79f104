import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { parse } from 'yaml'
import { newRootKey } from '../../src/root-keys/local.ts'
import { NO_LIMITS } from '../helpers/app.ts'
import { Client } from '../helpers/client.ts'
import { Contract } from '../helpers/contract.ts'
import { type Running, startProcess } from '../helpers/process.ts'
import type { Bed } from './bed.ts'

const CONTRACT = join(import.meta.dirname, '../../openapi.yaml')
const CLI = join(import.meta.dirname, '../../src/cli.ts')
const ADMIN = { email: 'admin@example.org', password: 'correct horse battery' }

/** Returns functions that start processes of the service with the same root key and first administrator. */
export async function serviceIn(t: Test, bed: Bed) {
  const contract = new Contract(parse(await readFile(CONTRACT, 'utf8')))
  const common = {
    LATCHKEY_ROOT_KEYS: newRootKey('ops'),
    LATCHKEY_ADMIN_EMAIL: ADMIN.email,
    LATCHKEY_ADMIN_PASSWORD: ADMIN.password,
    LOG_LEVEL: 'warn',
    ...NO_LIMITS
  }
  /** Starts `latchkey` with these arguments, or the service if there are none. */
  const run = (env: Record<string, string>, ...args: string[]): Running =>
    startProcess(t, bed.directory, { ...common, ...env }, args.length > 0 ? [CLI, ...args] : undefined)
  return {
    run,
    /** Starts a replica, and signs its administrator in. */
    async start(databaseUrl: string, env: Record<string, string> = {}) {
      const running = run({ DATABASE_URL: databaseUrl, ...env })
      const [, origin] = await running.printed(/listens on (http:\S+)/)
      const admin = new Client(origin!, contract)
      await admin.signIn(ADMIN)
      return { running, admin }
    }
  }
}
