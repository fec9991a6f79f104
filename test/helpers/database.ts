import { createHash, randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import pg from 'pg'
import { createDatabase, type Database } from '../../src/db/database.ts'
import { migrateFor } from '../../src/db/migrate.ts'
import { installCatalogue } from '../../src/features/credential-types/install.ts'

const TEMPLATE = 'latchkey_template'
/** The role of the services under test. Its password is for servers that require one. */
export const SERVICE_ROLE = 'latchkey_test_service'
const passwordOn = (url: string) => createHash('sha256').update(url).digest('hex')

const onDatabase = (url: string, name: string) => {
  const changed = new URL(url.replace('@/', '@localhost/'))
  changed.pathname = `/${name}`
  return changed.href.replace('@localhost/', '@/')
}

/** Returns the URL of the same database for another role. */
export function asRole(url: string, role: string, password: string): string {
  const changed = new URL(url.replace('@/', '@localhost/'))
  changed.username = role
  changed.password = password
  return url.includes('@/') ? changed.href.replace('@localhost/', '@/') : changed.href
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
 * Creates the template that test databases are copied from: migrated, with the built-in types and the
 * privileges of the service role.
 */
export async function prepareTemplate(url: string): Promise<void> {
  await admin(url, async (client) => {
    await client.query(`drop database if exists ${TEMPLATE}`)
    await client.query(`create database ${TEMPLATE}`)
    const { rowCount } = await client.query('select from pg_roles where rolname = $1', [SERVICE_ROLE])
    const what = rowCount ? 'alter' : 'create'
    await client.query(`${what} role ${SERVICE_ROLE} login password '${passwordOn(url)}'`)
  })
  const db = createDatabase({ connectionString: onDatabase(url, TEMPLATE) })
  await prepare(db)
  await db.destroy()
}

async function prepare(db: Database): Promise<void> {
  await migrateFor(db, SERVICE_ROLE)
  await installCatalogue(db)
  // For the triggers of tests, which write to tables of tests.
  await sql.raw(`alter default privileges grant all on tables to ${SERVICE_ROLE}`).execute(db)
}

export interface TestDatabase {
  /** For the service role; for the owner if the database is empty. */
  url: string
  /** For the service role, which has no privileges on an empty database. */
  serviceUrl: string
  ownerUrl: string
  /** Connected as the owner. */
  db: Database
  drop(): Promise<void>
}

export interface TestDatabaseOptions {
  /** Creates no tables. */
  empty?: boolean
  /** Options of `create database`, such as "locale 'C'". */
  locale?: string
  /** Called with the empty database before it is migrated. */
  fill?: (db: Database) => Promise<void>
}

/** Creates a database on the server of the test run. */
export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { empty, fill, locale = '' } = options
  const isCopy = !empty && !fill && locale === ''
  const server = process.env.TEST_DATABASE_URL
  if (!server) throw new Error('run tests by `npm test -- <file>`: they need its Postgres server')
  const name = `latchkey_test_${randomBytes(8).toString('hex')}`
  await admin(server, (client) =>
    client.query(`create database ${name} template ${isCopy ? TEMPLATE : 'template0'} ${locale}`)
  )
  // A copy has the privileges on the template's tables, but not those on the template itself.
  await admin(server, (client) => client.query(`revoke temporary on database ${name} from public`))
  const ownerUrl = onDatabase(server, name)
  const serviceUrl = asRole(ownerUrl, SERVICE_ROLE, passwordOn(server))
  const db = createDatabase({ connectionString: ownerUrl })
  await fill?.(db)
  if (!isCopy && !empty) await prepare(db)
  return {
    url: empty ? ownerUrl : serviceUrl,
    serviceUrl,
    ownerUrl,
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
