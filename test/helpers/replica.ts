import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { type App, buildApp } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { type ConnectionOptions, createDatabase, type Database } from '../../src/db/database.ts'
import { prepareKeyring } from '../../src/features/keys/open-keyring.ts'
import { NO_LIMITS, type TestApp } from './app.ts'
import { Client } from './client.ts'

export interface Replica {
  app: App
  /** The replica's own connections to the database. */
  db: Database
  origin: string
  log: string[]
  /** Creates a client of this replica, with the session of `other` if given. */
  client(other?: Client): Client
}

/** Starts the service again on the same database, with the options in `connection` if given. */
export async function startReplica(
  t: Test,
  service: TestApp,
  { env = {}, connection = {} }: { env?: Record<string, string>; connection?: ConnectionOptions } = {}
): Promise<Replica> {
  const config = { ...readConfig({ LOG_LEVEL: 'trace', ...NO_LIMITS, ...env }), rootKeys: service.rootKeys }
  const db = createDatabase(
    { connectionString: service.databaseUrl, ...connection },
    { connections: config.databaseConnections }
  )
  const keyring = await prepareKeyring(db, service.rootKeys)
  const log: string[] = []
  const app = await buildApp({ config, db, keyring }, { write: (line) => log.push(line) })
  t.teardown(async () => {
    await app.close()
    await db.destroy()
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  return {
    app,
    db,
    origin,
    log,
    client(other) {
      const client = new Client(origin, service.contract)
      if (other) Object.assign(client, { cookie: other.cookie, person: other.person })
      return client
    }
  }
}
