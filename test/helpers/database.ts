import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { createDatabase, type Database } from '../../src/db/database.ts'
import { migrate } from '../../src/db/migrate.ts'
import { installCatalogue } from '../../src/features/credential-types/install.ts'

const TEMPLATE = 'latchkey_template'

const onDatabase = (url: string, name: string) => {
  const changed = new URL(url.replace('@/', '@localhost/'))
  changed.pathname = `/${name}`
  return changed.href.replace('@localhost/', '@/')
}

async function admin<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/**
 * Makes the database that every test file's own one is copied from: migrated once, with the built-in types.
 */
export async function prepareTemplate(url: string): Promise<void> {
  await admin(url, async (client) => {
    await client.query(`drop database if exists ${TEMPLATE}`)
    await client.query(`create database ${TEMPLATE}`)
  })
  const db = createDatabase({ connectionString: onDatabase(url, TEMPLATE) })
  await migrate(db)
  await installCatalogue(db)
  await db.destroy()
}

export interface TestDatabase {
  url: string
  db: Database
  drop(): Promise<void>
}

/** A database of one's own, on the run's server. `empty`: nothing in it, not even tables. */
export async function createTestDatabase(options: { empty?: boolean } = {}): Promise<TestDatabase> {
  const server = process.env.TEST_DATABASE_URL
  if (!server) throw new Error('run tests by `npm test -- <file>`: they need its Postgres server')
  const name = `latchkey_test_${randomBytes(8).toString('hex')}`
  await admin(server, (client) =>
    client.query(`create database ${name} template ${options.empty ? 'template0' : TEMPLATE}`)
  )
  const url = onDatabase(server, name)
  const db = createDatabase({ connectionString: url })
  return {
    url,
    db,
    async drop() {
      await db.destroy()
      await admin(server, async (client) => {
        // A closed pool's connections stay on the server for a moment, so try again instead of forcing.
        for (let attempt = 1; ; attempt++) {
          try {
            return await client.query(`drop database ${name}`)
          } catch (error) {
            if (attempt === 50) throw error
            await new Promise((resolve) => setTimeout(resolve, 40))
          }
        }
      })
    }
  }
}
