import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { buildApp } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { start } from '../../src/start.ts'
import { Client } from './client.ts'
import { Contract, type OpenapiDocument } from './contract.ts'
import { createTestDatabase } from './database.ts'
import { startProcess } from './process.ts'

const ADMIN = { email: 'root@example.org', password: 'a long enough one' }
type Env = Record<string, string>

/** Returns functions that start the service on a new database, with the given root keys. */
export async function serviceStarts(t: Test) {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const common = {
    DATABASE_URL: database.url,
    LATCHKEY_ADMIN_EMAIL: ADMIN.email,
    LATCHKEY_ADMIN_PASSWORD: ADMIN.password,
    LOG_LEVEL: 'silent'
  }
  const cwd = t.testdir()
  const started = (keys: Env) => {
    // The AWS SDK reads the environment of this process.
    Object.assign(
      process.env,
      Object.fromEntries(Object.entries(keys).filter(([name]) => /^AWS_/.test(name)))
    )
    const reporter = { notice() {}, connectionError() {}, databaseEnded() {} }
    return start(readConfig({ ...common, ...keys }), reporter)
  }
  return {
    db: database.db,
    cwd,
    /** Starts the service and signs its administrator in. */
    async serve(keys: Env) {
      const service = await started(keys)
      const app = await buildApp(service)
      let stopped: Promise<void> | undefined
      const stop = () => {
        stopped ??= app.close().then(() => service.close())
        return stopped
      }
      t.teardown(stop)
      await app.listen({ host: '127.0.0.1', port: 0 })
      const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
      const admin = new Client(origin, new Contract(app.swagger() as unknown as OpenapiDocument))
      await admin.signIn(ADMIN)
      return { admin, stop }
    },
    /** Starts the service with these keys, which must fail, and returns the error message. */
    async refusal(keys: Env): Promise<string> {
      const service = await started(keys).catch((error) => error as Error)
      if (service instanceof Error) return service.message
      await service.close()
      throw new Error('it started')
    },
    /** Returns the only line that a process prints if it cannot start with these keys. */
    async lastLine(keys: Env): Promise<string> {
      const service = startProcess(t, cwd, { ...common, ...keys })
      t.equal(await service.exited, 1)
      t.equal(service.output().trim().split('\n').length, 1, service.output())
      return service.output().trim()
    },
    wrappings: () =>
      database.db.selectFrom('data_keys').select(['number', 'root_key_fingerprint', 'wrapped']).execute()
  }
}
