import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { createDatabase, type Database, lockName } from '../../../src/db/database.ts'
import { type BuiltInType, catalogue } from '../../../src/features/credential-types/catalogue.ts'
import { installCatalogue } from '../../../src/features/credential-types/install.ts'
import { findTypeByName } from '../../../src/features/credential-types/repository.ts'
import { foldName } from '../../../src/names.ts'
import { createTestDatabase } from '../../helpers/database.ts'

const USER = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'

async function emptyDatabase(t: Test) {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  await database.db.deleteFrom('credential_types').execute()
  return database
}

/** Returns all rows of both tables with xmin, which changes whenever a row is written. */
async function rowsOf(db: Database) {
  const types = await sql`select xmin, * from credential_types order by id`.execute(db)
  const fields = await sql`select xmin, * from credential_type_fields order by id`.execute(db)
  return { types: types.rows, fields: fields.rows }
}

const withName = (type: BuiltInType, typeName: string): BuiltInType => ({ ...type, typeName })

t.test('a second start and a concurrent one change nothing', async (t) => {
  const { db, url } = await emptyDatabase(t)
  const replicas = Array.from({ length: 5 }, () => createDatabase({ connectionString: url }))
  await Promise.all(replicas.map((replica) => installCatalogue(replica)))
  await Promise.all(replicas.map((replica) => replica.destroy()))
  const before = await rowsOf(db)
  t.equal(before.types.length, catalogue.length)
  t.equal(before.fields.length, catalogue.flatMap((type) => type.fields).length)
  t.match(
    before.types,
    catalogue.map(() => ({ owner_id: null, revision: 1 }))
  )
  const other = createDatabase({ connectionString: url })
  await other.transaction().execute(async (trx) => {
    await lockName(trx, 'catalogue')
    t.strictSame(await installCatalogue(db), [], 'it does not wait for the lock')
  })
  await other.destroy()
  t.strictSame(await rowsOf(db), before, 'no row was written')
})

t.test('types that differ from the catalogue are updated, and no others', async (t) => {
  const { db } = await createTestDatabase().then((database) => {
    t.teardown(database.drop)
    return database
  })
  const before = await rowsOf(db)
  const changed = catalogue.map((type) => {
    if (type.typeName !== 'raw') return type
    const [body] = type.fields
    return { ...type, description: 'Anything', fields: [{ ...body!, fieldLabel: 'The body' }] }
  })
  await installCatalogue(db, changed)
  const after = await rowsOf(db)
  t.equal(after.types.filter((row, i) => JSON.stringify(row) !== JSON.stringify(before.types[i])).length, 1)
  t.equal(after.fields.filter((row, i) => JSON.stringify(row) !== JSON.stringify(before.fields[i])).length, 1)
  t.match(await findTypeByName(db, 'raw', USER), { revision: 2, fields: [{ field_label: 'The body' }] })
  await installCatalogue(db)
  t.match(await findTypeByName(db, 'raw', USER), { revision: 3, fields: [{ field_label: 'Body' }] })
})

t.test('types that are no longer in the catalogue are kept', async (t) => {
  const { db } = await createTestDatabase().then((database) => {
    t.teardown(database.drop)
    return database
  })
  const before = await rowsOf(db)
  await installCatalogue(
    db,
    catalogue.slice(0, 3).map((type) => ({ ...type, fields: type.fields.slice(0, 1) }))
  )
  t.strictSame(await rowsOf(db), before)
})

t.test("a user's type with the name of a built-in one is renamed", async (t) => {
  const { db } = await emptyDatabase(t)
  const [first, second] = [catalogue[0]!, catalogue[1]!]
  const id = USER
  await sql`insert into users (id, email, name, name_key, password_hash, role)
    values (${id}, 'ann@example.org', 'Ann', 'ann', '', 'user')`.execute(db)
  const names = ['RAW', 'raw (2)', 'Raw (3)']
  for (const [index, name] of names.entries()) {
    const type = { id: id.replace(/.$/, `${index}`), type_name: name, owner_id: id, description: null }
    await db
      .insertInto('credential_types')
      .values({ ...type, name_key: foldName(name) })
      .execute()
  }
  t.strictSame(await installCatalogue(db, [first]), [
    { id: id.replace(/.$/, '0'), from: 'RAW', to: 'RAW (4)' }
  ])
  t.equal((await findTypeByName(db, 'raw', USER))?.id, first.id)
  t.equal((await findTypeByName(db, 'raw (4)', USER))?.owner_id, id)

  await installCatalogue(db, [first, second])
  const swapped = [withName(first, second.typeName), withName(second, first.typeName)]
  t.strictSame(await installCatalogue(db, swapped), [], 'built-in types can swap their names')
  t.equal((await findTypeByName(db, 'raw', USER))?.id, second.id)
})
