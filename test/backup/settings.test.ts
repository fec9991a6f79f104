import { join } from 'node:path'
import { sql } from 'kysely'
import t from 'tap'
import { sealEvents } from '../../src/audit/chain.ts'
import { startTestApp } from '../helpers/app.ts'
import { contentOf, emptyDatabase, newBackupDirectory, onDatabase } from '../helpers/backups.ts'
import { newCredential, newType } from '../helpers/fixtures.ts'
import { startReplica } from '../helpers/replica.ts'

t.setTimeout(300_000)

for (const settings of [
  ["datestyle = 'SQL, DMY'", "timezone = 'Asia/Kolkata'"],
  ["datestyle = 'German'", "bytea_output = 'escape'", 'standard_conforming_strings = off'],
  ['quote_all_identifiers = on', 'extra_float_digits = -15', "intervalstyle = 'sql_standard'"]
]) {
  t.test(`settings of the database do not affect backups: ${settings.join(', ')}`, async (t) => {
    const service = await startTestApp(t)
    const ann = await service.newUser()
    await newCredential(ann, await newType(ann))
    await sealEvents(service.db)
    const before = await contentOf(service.db)
    const { rows } = await sql<{ name: string }>`select current_database() as name`.execute(service.db)
    for (const setting of settings)
      await sql`alter database ${sql.id(rows[0]!.name)} set ${sql.raw(setting)}`.execute(service.db)

    const replica = await startReplica(t, service)
    const again = replica.client()
    await again.signIn(ann.person)
    t.equal((await again.get('/api/v1/session')).status, 200)
    await again.delete('/api/v1/session')

    const file = join(await newBackupDirectory(t), 'latchkey.backup')
    t.match(await onDatabase(service.databaseUrl, service)('backup', file), { code: 0, out: '' })
    const copy = await emptyDatabase(t)
    t.match(await onDatabase(copy.ownerUrl, service)('restore', file), { code: 0, err: '' })
    const after = await contentOf(copy.db)
    for (const table of ['users', 'credentials', 'credential_keys', 'data_keys', 'credential_types'])
      t.equal(after[table], before[table], table)
  })
}
