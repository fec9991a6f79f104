import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { createDatabase } from '../../../src/db/database.ts'
import { openKeyring, prepareKeyring } from '../../../src/features/keys/open-keyring.ts'
import { parseRootKeys } from '../../../src/root-keys/list.ts'
import { newRootKey } from '../../../src/root-keys/local.ts'
import type { RootKey } from '../../../src/root-keys/root-key.ts'
import { createTestDatabase } from '../../helpers/database.ts'
import { keyEvents, rotate } from '../../helpers/keys.ts'

const root = (name = 'root') => parseRootKeys(newRootKey(name))[0]!
const CONTEXT = { credentialId: 'a', environment: 'main', sealedRevision: 1 }

async function newDatabase(t: Test) {
  const made = await createTestDatabase()
  t.teardown(made.drop)
  const rows = () =>
    made.db
      .selectFrom('data_keys')
      .select(['number', 'wrapped', 'root_key_fingerprint'])
      .orderBy('number')
      .execute()
  return { ...made, rows }
}

const failureOf = (work: Promise<unknown>) => work.then(() => undefined).catch((error) => error as Error)

t.test('the first start creates a wrapped data key, and later ones use it', async (t) => {
  const { db, rows } = await newDatabase(t)
  const key = root()
  const sealed = (await prepareKeyring(db, [key])).values(CONTEXT).seal(['field'], Buffer.from('secret'))
  const [row, ...others] = await rows()
  t.same(others, [])
  t.match(row, { number: 1, root_key_fingerprint: key.fingerprint })
  t.equal(row!.wrapped.length, 61, 'the key is wrapped')
  const again = await prepareKeyring(db, [key])
  t.equal(again.values(CONTEXT).open(['field'], sealed).toString(), 'secret')
  t.same(await rows(), [row], 'nothing new is created')
})

t.test('replicas that start at the same time create one data key', async (t) => {
  const { url, rows } = await newDatabase(t)
  const key = root()
  const replicas = Array.from({ length: 8 }, () =>
    createDatabase({ connectionString: url }, { connections: 4 })
  )
  const rings = await Promise.all(replicas.map((db) => prepareKeyring(db, [key])))
  await Promise.all(replicas.map((db) => db.destroy()))
  t.equal((await rows()).length, 1)
  const sealed = rings[0]!.values(CONTEXT).seal(['field'], Buffer.from('secret'))
  for (const ring of rings) t.equal(ring.values(CONTEXT).open(['field'], sealed).toString(), 'secret')
})

t.test('the error for a wrong root key names it, and nothing is written', async (t) => {
  const { db, rows } = await newDatabase(t)
  const [right, wrong] = [root('right'), root('wrong')]
  await prepareKeyring(db, [right])
  const before = await rows()
  const error = await failureOf(prepareKeyring(db, [wrong]))
  t.match(error, { name: 'WrongRootKey' })
  t.match(error!.message, right.fingerprint, 'the needed key')
  t.match(error!.message, `${wrong.fingerprint} (wrong)`, 'the given key')
  t.notMatch(error!.message, '\n')
  t.same(await rows(), before)
})

t.test('the right root key is found at any place in the list and under any name', async (t) => {
  const { db } = await newDatabase(t)
  const text = newRootKey('old')
  await prepareKeyring(db, parseRootKeys(text))
  const renamed = parseRootKeys(text.replace('old:', 'renamed:'))[0] as RootKey
  t.ok(await prepareKeyring(db, [renamed]))
  t.ok(await prepareKeyring(db, [root('new'), renamed]))
})

t.test('a changed data key does not open', async (t) => {
  const { db } = await newDatabase(t)
  const key = root()
  await prepareKeyring(db, [key])
  const changes = [
    `wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1)`,
    `wrapped = substring(wrapped from 1 for 40)`,
    `wrapped = ''`,
    `number = 2`
  ]
  for (const change of changes) {
    const failure = await failureOf(
      db.transaction().execute(async (trx) => {
        await sql.raw(`update data_keys set ${change}`).execute(trx)
        await prepareKeyring(trx, [key])
      })
    )
    t.match(failure, { name: 'WrongRootKey' }, change)
  }
  t.ok(await prepareKeyring(db, [key]), 'the unchanged key opens')
})

t.test('with a new root key first, the data keys are rewrapped and not changed otherwise', async (t) => {
  const { db } = await newDatabase(t)
  const [old, fresh] = [root('old'), root('fresh')]
  const before = await prepareKeyring(db, [old])
  await rotate({ db, rootKeys: [old] })
  const all = () =>
    db
      .selectFrom('data_keys')
      .select(['number', 'wrapped', 'root_key_fingerprint', 'created_at', 'retired_at'])
      .orderBy('number')
      .execute()
  const was = await all()
  const sealed = before.values(CONTEXT).seal(['field'], Buffer.from('secret'))
  const rings = await Promise.all(Array.from({ length: 4 }, () => prepareKeyring(db, [fresh, old])))
  for (const ring of rings) t.equal(ring.values(CONTEXT).open(['field'], sealed).toString(), 'secret')
  const is = await all()
  for (const [index, row] of is.entries()) {
    const { number, created_at, retired_at, wrapped } = was[index]!
    t.match(row, { number, created_at, retired_at, root_key_fingerprint: fresh.fingerprint })
    t.notOk(row.wrapped.equals(wrapped))
  }
  const events = (await keyEvents({ db })).filter(({ action }) => action === 'data-key.rewrapped')
  t.match(
    events,
    [1, 2].map((number) => ({
      target_name: number,
      actor_type: 'system',
      details: { number, from: old.fingerprint, to: fresh.fingerprint }
    })),
    'one event for each data key, although four replicas started'
  )
  t.equal(events.length, 2)
  t.ok(await prepareKeyring(db, [fresh]), 'the old root key is no longer needed')
  t.match(await failureOf(prepareKeyring(db, [old])), { name: 'WrongRootKey' })
  t.same(await all(), is)
})

t.test("replicas with different first root keys can use each other's data keys", async (t) => {
  const { db } = await newDatabase(t)
  const [one, two] = [root('one'), root('two')]
  await prepareKeyring(db, [one])
  for (let round = 0; round < 5; round++) {
    const rings = await Promise.all([prepareKeyring(db, [one, two]), prepareKeyring(db, [two, one])])
    const sealed = rings[0]!.values(CONTEXT).seal(['field'], Buffer.from('secret'))
    for (const ring of rings) {
      await ring.refresh()
      t.equal(ring.values(CONTEXT).open(['field'], sealed).toString(), 'secret')
    }
  }
})

t.test('if one data key does not open, none is rewrapped', async (t) => {
  const { db, rows } = await newDatabase(t)
  const [old, fresh] = [root('old'), root('fresh')]
  await prepareKeyring(db, [old])
  await rotate({ db, rootKeys: [old] })
  await sql`update data_keys set wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1)
    where number = 2`.execute(db)
  const before = await rows()
  t.match(await failureOf(prepareKeyring(db, [fresh, old])), { name: 'WrongRootKey' })
  t.same(await rows(), before)
})

t.test('a command opens the keyring without creating or changing a data key', async (t) => {
  const { db, rows } = await newDatabase(t)
  const [old, fresh] = [root('old'), root('fresh')]
  await t.rejects(openKeyring(db, [old]), {
    message: 'the database has no data key: the first start of the service creates it'
  })
  t.same(await rows(), [])
  const sealed = (await prepareKeyring(db, [old])).values(CONTEXT).seal(['field'], Buffer.from('secret'))
  const before = await rows()
  const opened = await openKeyring(db, [fresh, old])
  t.equal(opened.values(CONTEXT).open(['field'], sealed).toString(), 'secret')
  t.same(await rows(), before)
  t.match(await failureOf(openKeyring(db, [fresh])), { name: 'WrongRootKey' })
  t.equal((await keyEvents({ db })).length, 1, 'only the first data key was created')
})
