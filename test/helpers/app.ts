import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { type App, buildApp } from '../../src/app.ts'
import { type Config, readConfig } from '../../src/config.ts'
import { createDatabase, type Database } from '../../src/db/database.ts'
import { prepareKeyring } from '../../src/features/keys/open-keyring.ts'
import { ensureAdministrator } from '../../src/features/users/service.ts'
import { parseRootKeys } from '../../src/root-keys/list.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import type { RootKey } from '../../src/root-keys/root-key.ts'
import { Client } from './client.ts'
import { Contract, type OpenapiDocument } from './contract.ts'
import { createTestDatabase, type TestDatabaseOptions } from './database.ts'

export interface TestApp {
  app: App
  origin: string
  /** A connection as the owner of the database, for what is not possible over HTTP. */
  db: Database
  /** The URL for the role of the service. */
  databaseUrl: string
  rootKeys: RootKey[]
  /** The root keys in the format of `LATCHKEY_ROOT_KEYS`. */
  rootKeyList: string
  contract: Contract
  /** The log lines so far, at trace level unless `env` has another `LOG_LEVEL`. */
  log: string[]
  /** Signed in as the first administrator. */
  admin: Client
  anonymous(): Client
  /** Creates a user and signs in. */
  newUser(options?: { role?: 'admin' | 'user'; name?: string }): Promise<Client>
}

/** Turns off the rate limits, because tests send more requests than users do. */
export const NO_LIMITS = {
  LATCHKEY_CALLER_REQUESTS_PER_MINUTE: '0',
  LATCHKEY_ADDRESS_REQUESTS_PER_MINUTE: '0'
}

const PASSWORD = 'correct horse battery'

/**
 * Starts the service on a new database, created with `options`, and on a free loopback port. Both are removed
 * when the test ends.
 */
export async function startTestApp(
  t: Test,
  env: Record<string, string> = {},
  options: TestDatabaseOptions = {}
): Promise<TestApp> {
  const database = await createTestDatabase(options)
  const rootKeyList = newRootKey('test')
  const rootKeys = parseRootKeys(rootKeyList)
  const closing: (() => Promise<unknown>)[] = [database.drop]
  t.teardown(async () => {
    for (const close of closing.reverse()) await close()
  })
  const config: Config = {
    ...readConfig({ PORT: '0', LOG_LEVEL: 'trace', ...NO_LIMITS, ...env }),
    rootKeys
  }
  const log: string[] = []
  // A separate pool for the service, so that queries of the test never wait for a connection.
  const db = createDatabase({ connectionString: database.url })
  closing.push(() => db.destroy())
  const keyring = await prepareKeyring(db, rootKeys)
  await ensureAdministrator(db, { email: 'admin@example.org', password: PASSWORD })
  const app = await buildApp({ config, db, keyring }, { write: (line) => log.push(line) })
  closing.push(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  const contract = new Contract(app.swagger() as unknown as OpenapiDocument)
  const anonymous = () => new Client(origin, contract)
  const admin = anonymous()
  await admin.signIn({ email: 'admin@example.org', password: PASSWORD })
  return {
    app,
    origin,
    db: database.db,
    databaseUrl: database.url,
    rootKeys,
    rootKeyList,
    contract,
    log,
    admin,
    anonymous,
    async newUser({ role = 'user', name = 'Somebody' } = {}) {
      const email = `user-${randomBytes(6).toString('hex')}@example.org`
      const made = await admin.post('/api/v1/users', { email, name, password: PASSWORD, role })
      if (made.status !== 201) throw new Error(`no user: ${made.text}`)
      const client = anonymous()
      await client.signIn({ email, password: PASSWORD })
      return client
    }
  }
}
