import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import t from 'tap'
import { verifyChain } from '../../../src/audit/verify.ts'
import { opener, sealAll } from '../../../src/features/credentials/sealing.ts'
import { openKeyring } from '../../../src/features/keys/open-keyring.ts'
import { uuidv7 } from '../../../src/ids.ts'
import { JsonText } from '../../../src/json.ts'
import { parseRootKeys } from '../../../src/root-keys/list.ts'
import { newRootKey } from '../../../src/root-keys/local.ts'
import { createTestDatabase } from '../../helpers/database.ts'
import { eventually } from '../../helpers/eventually.ts'
import { rotate, valuesByKey } from '../../helpers/keys.ts'
import { startProcess } from '../../helpers/process.ts'

t.setTimeout(300_000)

const CREDENTIALS = 400
const KILLS = 6
const ADMIN = { LATCHKEY_ADMIN_EMAIL: 'admin@example.org', LATCHKEY_ADMIN_PASSWORD: 'correct horse battery' }

t.test('re-encryption that is killed repeatedly loses no value, and finishes', async (t) => {
  const database = await createTestDatabase()
  const { db } = database
  t.teardown(database.drop)
  const text = newRootKey('kill')
  const rootKeys = parseRootKeys(text)
  const env = { DATABASE_URL: database.url, LATCHKEY_ROOT_KEYS: text, LOG_LEVEL: 'info', ...ADMIN }
  const first = startProcess(t, t.testdir(), env)
  await first.printed('listens on')
  first.child.kill('SIGKILL')
  await first.exited

  // Stores values with functions of the service, which is faster than requests.
  const keyring = await openKeyring(db, rootKeys)
  const stored = new Map<string, string>()
  const { id: owner } = await db.selectFrom('users').select('id').executeTakeFirstOrThrow()
  const type = await db
    .selectFrom('credential_type_fields')
    .where('field_type', '=', 'text')
    .select(['id', 'type_id'])
    .executeTakeFirstOrThrow()
  for (let i = 0; i < CREDENTIALS; i++) {
    const [id, value] = [uuidv7(), `value ${i} ${'x'.repeat(randomInt(2_000))}`]
    const name = `credential ${i}`
    await db
      .insertInto('credentials')
      .values({ id, owner_id: owner, type_id: type.type_id, name, name_key: name })
      .execute()
    await db.insertInto('credential_environments').values({ credential_id: id, name: 'main' }).execute()
    const sealed = sealAll(keyring, id, 1, new Map([['main', new Map([[type.id, JsonText.of(value)]])]]))
    await db
      .insertInto('credential_keys')
      .values({
        credential_id: id,
        environment: 'main',
        field_id: type.id,
        value: sealed.values[0]!,
        data_key_no: sealed.dataKeyNo
      })
      .execute()
    stored.set(id, value)
  }

  await rotate({ db, rootKeys })
  const left = async () => (await valuesByKey({ db }))[1] ?? 0
  const inBatch = async () => {
    const { rows } = await sql`select 1 from pg_stat_activity where datname = current_database()
      and application_name = 'latchkey' and xact_start is not null and query ~ 'credential_keys|no key update'
      and query !~ 'group by|pg_stat_activity|count'`.execute(db)
    return rows.length > 0
  }
  const seen: number[] = []
  for (let kill = 0; kill < KILLS; kill++) {
    const before = await left()
    const running = startProcess(t, t.testdir(), env)
    await running.printed('listens on')
    await eventually(async () => (await left()) < before, 'it has begun', 30_000)
    // Half of the kills are during a batch, the others at a random moment, possibly between batches.
    if (kill % 2 === 0) await sleep(randomInt(600))
    else await eventually(async () => (await inBatch()) || (await left()) === 0, 'a batch', 30_000)
    running.child.kill('SIGKILL')
    await running.exited
    seen.push(await left())
    if (seen.at(-1) === 0) break
  }
  t.comment(`left after each kill: ${seen.join(', ')}`)
  t.ok(seen.filter((count) => count > 0).length >= 3, 'several kills interrupted re-encryption')

  const last = startProcess(t, t.testdir(), env)
  await last.printed('listens on')
  await eventually(async () => (await left()) === 0, 'it finishes', 60_000)
  await keyring.refresh()
  const { rows } = await sql<{ id: string; revision: number; sealed_revision: number; value: Buffer }>`
    select c.id, c.revision, c.sealed_revision, k.value
    from credentials c join credential_keys k on k.credential_id = c.id`.execute(db)
  t.equal(rows.length, CREDENTIALS, 'no value is lost')
  const wrong = rows.filter(({ id, revision, sealed_revision, value }) => {
    const open = opener(keyring, { credentialId: id, environment: 'main', sealedRevision: sealed_revision })
    return (
      revision !== 1 || sealed_revision !== 1 || open(type.id, value).text !== JSON.stringify(stored.get(id))
    )
  })
  t.same(wrong, [], 'each value decrypts to what was stored')
  t.same(await valuesByKey({ db }), { 2: CREDENTIALS })
  t.equal((await verifyChain(db)).broken, undefined)
})
