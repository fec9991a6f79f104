import { sql } from 'kysely'
import t, { type Test } from 'tap'
import packageJson from '../../package.json' with { type: 'json' }
import { createDatabase } from '../../src/db/database.ts'
import { migrate, migrateFor } from '../../src/db/migrate.ts'
import { MIGRATIONS } from '../../src/db/migration-files.ts'
import { createTestDatabase, SERVICE_ROLE } from '../helpers/database.ts'

const NAME = '29990101T000000_later'

async function migratedBy(t: Test, text: string) {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const folders = [MIGRATIONS, t.testdir({ [`${NAME}.ts`]: `import { sql } from 'kysely'\n${text}` })]
  t.same(await migrateFor(database.db, SERVICE_ROLE, { folders }), [NAME])
  t.same(await migrateFor(database.db, SERVICE_ROLE, { folders }), [], 'the migration is recorded')
  const service = createDatabase({ connectionString: database.url })
  t.teardown(() => service.destroy())
  return { db: database.db, service }
}

const ADDS = `export const up = (db) => sql\`alter table users add note text\`.execute(db)`
const kyselyNames = sql<{ name: string }>`select name from kysely_migration where name = ${NAME}`

t.test('this version starts after a later one with compatible migrations', async (t) => {
  const { db, service } = await migratedBy(t, ADDS)
  await sql.raw(`grant delete on audit_unsealed, access_tokens to ${SERVICE_ROLE}`).execute(db)
  for (const start of [
    (notice: (line: string) => void) => migrate(service, { notice }),
    (notice: (line: string) => void) => migrateFor(db, SERVICE_ROLE, { notice })
  ]) {
    const lines: string[] = []
    t.same(await start((line) => lines.push(line)), [])
    t.same(lines, ['A later version has migrated this database. This version works on it.'])
  }
  const { rows } = await sql<{ may: boolean }>`
    select has_table_privilege(${SERVICE_ROLE}, 'access_tokens', 'delete') as may`.execute(db)
  t.same(rows, [{ may: true }], 'the role keeps the grants of the later version')
  t.same((await kyselyNames.execute(db)).rows, [], 'version 1.0.0 starts as well')
})

t.test('this version refuses to start if the migrations require a later one', async (t) => {
  const { db, service } = await migratedBy(t, `export const minVersion = '1.${10 ** 6}.0'\n${ADDS}`)
  const message =
    'this database was migrated by a later version, and needs Latchkey 1.1000000.0 or later; ' +
    `this is ${packageJson.version}`
  await t.rejects(migrate(service), { message })
  await t.rejects(migrateFor(db, SERVICE_ROLE), { message })
  t.same((await kyselyNames.execute(db)).rows, [{ name: NAME }], 'version 1.0.0 refuses as well')
})

t.test('this version starts if the migrations require this version', async (t) => {
  const { service } = await migratedBy(t, `export const minVersion = '${packageJson.version}'\n${ADDS}`)
  t.same(await migrate(service), [])
})
