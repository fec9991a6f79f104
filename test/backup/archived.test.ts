import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { sealEvents } from '../../src/audit/chain.ts'
import { writeTo } from '../../src/backup/file.ts'
import { writeBackup } from '../../src/backup/write.ts'
import { readConfig } from '../../src/config.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import type { RootKey } from '../../src/root-keys/root-key.ts'
import { contentOf, emptyDatabase, newBackupDirectory, onDatabase } from '../helpers/backups.ts'
import { runCli } from '../helpers/cli.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { createFirstDataKey } from '../helpers/keys.ts'
import { divideLog, insertAged } from '../helpers/partitions.ts'

t.setTimeout(300_000)

async function startArchivable(t: Test) {
  const { db, drop, ownerUrl } = await createTestDatabase()
  t.teardown(drop)
  await divideLog(db, [90, 60, 30])
  await insertAged(db, [100, 80, 61, 59, 40, 10, 0])
  await db.transaction().execute(async (trx) => {
    await sql`set local session_replication_role = replica`.execute(trx)
    await sql`update audit_unsealed set settled_at = now()`.execute(trx)
  })
  await sealEvents(db)
  const rootKeyList = newRootKey('test')
  await createFirstDataKey(db, rootKeyList)
  const directory = await newBackupDirectory(t)
  const env = { DATABASE_URL: ownerUrl, LATCHKEY_ROOT_KEYS: rootKeyList, LATCHKEY_AUDIT_KEEP_DAYS: '45' }
  const archive = () => runCli(env, ['audit', 'archive', directory])
  return { db, ownerUrl, rootKeyList, directory, archive }
}

t.test('a log whose first partitions were exported and dropped is restored', async (t) => {
  const { db, ownerUrl, rootKeyList, directory, archive } = await startArchivable(t)
  t.match(await archive(), { code: 0 })

  const file = join(directory, 'latchkey.backup')
  t.match(await onDatabase(ownerUrl, { rootKeyList })('backup', file), { code: 0 })
  const copy = await emptyDatabase(t)
  const latchkey = onDatabase(copy.ownerUrl, { rootKeyList })
  t.match(await latchkey('restore', file), { code: 0, err: '' })
  const [before, after] = [await contentOf(db), await contentOf(copy.db)]
  for (const table of ['audit_links', 'audit_heads', 'audit_signing_key'])
    t.equal(after[table], before[table], table)
  const { rows } = await sql<{ age: number }>`select details->'age' as age from audit_log
    where action = 'test.aged' order by occurred_at`.execute(copy.db)
  t.same(
    rows.map(({ age }) => age),
    [59, 40, 10, 0]
  )
  t.match(await latchkey('audit', 'verify'), { code: 0, out: /events.* are intact/ })
})

t.test('a backup contains the partitions that are dropped after its snapshot', async (t) => {
  const { db, rootKeyList, directory, archive, ownerUrl } = await startArchivable(t)
  const [rootKey] = readConfig({ DATABASE_URL: ownerUrl, LATCHKEY_ROOT_KEYS: rootKeyList }).rootKeys!
  let archived: ReturnType<typeof archive> | undefined
  const slow = Object.assign(Object.create(rootKey!) as RootKey, {
    // Called after the snapshot was taken.
    async unwrap(...args: Parameters<RootKey['unwrap']>) {
      archived = archive()
      await Promise.race([archived, sleep(5_000)])
      return rootKey!.unwrap(...args)
    }
  })
  const file = join(directory, 'latchkey.backup')
  await writeTo(file, (write) => writeBackup(db, [slow], write))
  t.match(await archived, { code: 0 })
  const copy = await emptyDatabase(t)
  t.match(await onDatabase(copy.ownerUrl, { rootKeyList })('restore', file), { code: 0, err: '' })
})
