import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { sql } from 'kysely'
import t from 'tap'
import { FrameWriter } from '../../src/backup/frames.ts'
import { withChecksums } from '../../src/backup/manifest.ts'
import { copyOutOf, listMigrations, listTables } from '../../src/backup/tables-repository.ts'
import { backupTag } from '../../src/crypto/backup-tag.ts'
import { readSnapshot } from '../../src/db/copy.ts'
import { createDatabase, type Transaction } from '../../src/db/database.ts'
import { migrate } from '../../src/db/migrate.ts'
import { MIGRATIONS, readMigrations } from '../../src/db/migration-files.ts'
import { currentKey } from '../../src/features/keys/backup-key.ts'
import { newDataKey } from '../../src/features/keys/data-keys.ts'
import { insertDataKey } from '../../src/features/keys/repository.ts'
import { rootKeysInUse } from '../../src/features/keys/status.ts'
import { parseRootKeys } from '../../src/root-keys/list.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import { emptyDatabase, newBackupDirectory, onDatabase, rulesOf } from '../helpers/backups.ts'
import { createTestDatabase } from '../helpers/database.ts'

t.setTimeout(300_000)

/** The last migration of the version that takes the backup. At that version, names have no `name_key`. */
const LAST = '20261128T070000_lightning_schema'

t.test('a backup of an earlier version is restored on its tables, which are then migrated', async (t) => {
  const rootKeyList = newRootKey('test')
  const rootKeys = parseRootKeys(rootKeyList)
  const older = await emptyDatabase(t)
  const db = createDatabase({ connectionString: older.ownerUrl })
  t.teardown(() => db.destroy())
  const names = (await readMigrations([MIGRATIONS])).map(({ name }) => name)
  await migrate(db, { only: new Set(names.filter((name) => name <= LAST)) })
  await insertDataKey(db as Transaction, await newDataKey(rootKeys[0]!, 1))
  await sql`insert into users (id, email, name, password_hash, role)
    values (gen_random_uuid(), 'Zoe@example.org', 'Zoë', 'none', 'admin')`.execute(db)

  // Writes the backup as that version did.
  const file = join(await newBackupDirectory(t), 'latchkey.backup')
  await readSnapshot(db, [], async ({ trx, connection }) => {
    const writer = new FrameWriter()
    const key = await currentKey(trx, rootKeys)
    const ran = await listMigrations(trx)
    const header = {
      createdAt: new Date().toISOString(),
      latchkey: '0.9.0',
      postgres: '18.4',
      migrations: (await withChecksums(names)).filter(({ name }) => ran.includes(name)),
      rootKeys: await rootKeysInUse(trx),
      auditHead: { position: 0, hash: '0'.repeat(64) },
      dataKey: { number: key.number, wrapped: key.wrapped.toString('base64'), rootKey: key.rootKey }
    }
    const parts = [writer.firstLine(), writer.json('header', header)]
    for (const table of await listTables(trx)) {
      const copy = connection.copyOut(copyOutOf(table))
      parts.push(writer.json('table', table))
      for await (const bytes of copy.bytes) parts.push(writer.frame('data', deflateRawSync(bytes)))
      const sha256 = writer.digest.toString('hex')
      parts.push(writer.json('tableEnd', { rows: copy.rows(), sha256 }))
    }
    parts.push(writer.json('end', { tag: backupTag(key.bytes, writer.digest).toString('hex') }))
    await writeFile(file, Buffer.concat(parts))
  })

  const refused = await onDatabase(older.ownerUrl, { rootKeyList })('backup', `${file}.new`)
  t.match(refused, {
    code: 1,
    err: /from an earlier version than Latchkey .*: back up with the version/
  })

  const copy = await emptyDatabase(t)
  const restored = await onDatabase(copy.ownerUrl, { rootKeyList })('restore', file)
  t.match(restored, { code: 0, err: '', out: /^Restored 2 rows of \d+ tables, .* Latchkey 0\.9\.0\. / })
  const { rows } = await sql`select name_key from users`.execute(copy.db)
  t.same(rows, [{ name_key: 'zoë' }], 'a column of a later migration')
  const newest = await createTestDatabase()
  t.teardown(newest.drop)
  t.same(await rulesOf(copy.db), await rulesOf(newest.db))
})

t.test('a database of a later version is not backed up', async (t) => {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  await sql`insert into schema_migrations (name, min_version)
    values ('20990101T000000_later', '1.0.0')`.execute(database.db)
  const rootKeyList = newRootKey('test')
  await insertDataKey(database.db as Transaction, await newDataKey(parseRootKeys(rootKeyList)[0]!, 1))
  const refused = await onDatabase(database.ownerUrl, { rootKeyList })('backup', '/dev/null/none')
  t.match(refused, { code: 1, err: /\/dev\/null\/none cannot be written \(ENOTDIR\)/ })
  const file = join(await newBackupDirectory(t), 'latchkey.backup')
  const second = await onDatabase(database.ownerUrl, { rootKeyList })('backup', file)
  t.match(second, { code: 1, err: /from a later version than Latchkey .*20990101T000000_later/ })
})
