import { execFile } from 'node:child_process'
import { createHash, createPublicKey, verify } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync, gzipSync } from 'node:zlib'
import { sql } from 'kysely'
import t from 'tap'
import { archiveEvents } from '../../src/audit/archive.ts'
import { newSigningKey, SigningKey } from '../../src/crypto/signing.ts'
import { openKeyring } from '../../src/features/keys/open-keyring.ts'
import { reencryptAll } from '../../src/features/keys/reencrypt.ts'
import { rotateDataKey } from '../../src/features/keys/rotate.ts'
import { parseRootKeys } from '../../src/root-keys/list.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import { runCli } from '../helpers/cli.ts'
import { operator } from '../helpers/keys.ts'
import { oldLog, seal } from '../helpers/old-log.ts'
import { insertAged, partitionsOf } from '../helpers/partitions.ts'

t.setTimeout(300_000)

const linesIn = async (path: string) =>
  gunzipSync(await readFile(path))
    .toString()
    .trimEnd()
    .split('\n')

t.test('old events are exported, signed and dropped, and verification continues', async (t) => {
  const log = await oldLog(t)
  await insertAged(log.db, [80, 100, 61, 59, 40, 10, 0])
  await seal(log.db)
  const before = await partitionsOf(log.db)
  t.equal(before.length, 5)
  const { code, out, err } = await log.latchkey('audit', 'archive', log.directory)
  t.equal(code, 0, err)
  t.same(await log.ages(), [59, 40, 10, 0])
  const files = await readdir(log.directory)
  t.same(files.sort(), [
    'audit-000000000001-000000000001.head.json',
    'audit-000000000001-000000000001.head.sig',
    'audit-000000000001-000000000001.jsonl.gz',
    'audit-000000000002-000000000003.head.json',
    'audit-000000000002-000000000003.head.sig',
    'audit-000000000002-000000000003.jsonl.gz'
  ])
  const heads = [...out.matchAll(/Head: (\d+) ([0-9a-f]{64})/g)].map(
    ([, position, hash]) => `${position}:${hash}`
  )
  t.equal(heads.length, 2)
  const partitions = await partitionsOf(log.db)
  t.match(partitions[0], /^audit_log_before_\d{8}_3$/)
  t.equal(partitions.length, 4, '60 to 30 days ago, the current one, the last one, and one for old ids')
  const { rows: events } = await sql<{ details: object }>`select details from audit_log
    where action = 'audit.archived' order by id`.execute(log.db)
  t.match(events[1]!.details, { file: 'audit-000000000002-000000000003.jsonl.gz', events: 2, position: 3 })

  await seal(log.db)
  t.match((await log.latchkey('audit', 'verify')).out, /^6 events after position 3 are intact, 0 are/)
  for (const head of heads)
    t.match(
      (await log.latchkey('audit', 'verify', '--from', head)).out,
      /^6 events after position 3 are intact/
    )
  const other = heads[1]!.replace(/:../, ':00')
  t.match(
    (await log.latchkey('audit', 'verify', '--from', other)).err,
    /give --from the head of an exported file/
  )

  t.equal(
    (await log.latchkey('audit', 'archive', log.directory)).out,
    'Nothing to export: no partition has only events older than 45 days.\n'
  )
  t.same((await readdir(log.directory)).length, 6)
  await insertAged(log.db, [200, 70])
  await seal(log.db)
  t.match(
    (await log.latchkey('audit', 'verify')).out,
    /^8 events/,
    'ids older than all partitions are stored'
  )
})

t.test('the public key verifies an export without Latchkey', async (t) => {
  const log = await oldLog(t)
  await insertAged(log.db, [100, 95, 70, 20])
  await seal(log.db)
  t.equal((await log.latchkey('audit', 'archive', log.directory)).code, 0)
  const key = await log.latchkey('audit', 'public-key')
  t.match(key.out, /^-----BEGIN PUBLIC KEY-----\n/)
  const pem = join(log.directory, 'key.pem')
  await writeFile(pem, key.out)
  const page = await readFile(join(import.meta.dirname, '../../docs/operations/audit-log.md'), 'utf8')
  const [, script] = /```js\n\/\/ verify-archive\.mjs\n([\s\S]*?)```/.exec(page)!
  const path = join(log.directory, 'verify-archive.mjs')
  await writeFile(path, script!)
  const check = () => promisify(execFile)(process.execPath, [path, pem, log.directory])
  t.match(
    (await check()).stdout,
    /^audit-0+1-0+2\.jsonl\.gz: 2 events are intact\n.*: 1 events are intact\nHead: 3 /
  )

  const [head, , data] = (await readdir(log.directory)).sort() as [string, string, string]
  const tamper = async (name: string, change: (bytes: Buffer) => Buffer, what: RegExp) => {
    const file = join(log.directory, name)
    const bytes = await readFile(file)
    await writeFile(file, change(bytes))
    const { stderr } = await check().catch((error: { stderr: string }) => error)
    t.match(stderr, what, name)
    await writeFile(file, bytes)
  }
  await tamper(
    head,
    (bytes) => Buffer.from(bytes.toString().replace('"events": 2', '"events": 3')),
    /signature/
  )
  await tamper(
    data,
    (bytes) => gzipSync(gunzipSync(bytes).toString().replace('test.aged', 'test.page')),
    /position 1 was changed/
  )
  await tamper(data, (bytes) => gzipSync(gunzipSync(bytes).toString().split('\n')[0]!), /./)
})

t.test('events that differ from their seals are neither exported nor dropped', async (t) => {
  const log = await oldLog(t)
  await insertAged(log.db, [100, 70])
  await seal(log.db)
  const attempts: [string, ReturnType<typeof sql>, RegExp][] = [
    ['changed', sql`update audit_log set action = 'test.changed' where details->>'age' = '70'`, /is changed/],
    ['missing', sql`delete from audit_log where details->>'age' = '70'`, /is missing/],
    ['a link gone', sql`delete from audit_links where position = 2`, /not in the hash chain/],
    ['added', sql`delete from audit_unsealed`, /not in the hash chain/]
  ]
  for (const [name, statement, message] of attempts) {
    const copy = await oldLog(t)
    await insertAged(copy.db, [100, 70])
    await seal(copy.db)
    if (name === 'added') await insertAged(copy.db, [75])
    await copy.db.transaction().execute(async (trx) => {
      await sql`set local session_replication_role = replica`.execute(trx)
      await statement.execute(trx)
    })
    await t.rejects(copy.archive(), { message }, name)
    t.ok((await partitionsOf(copy.db)).includes((await partitionsOf(log.db))[1]!), name)
  }
})

t.test('no event is lost if the clocks of replicas differ', async (t) => {
  const log = await oldLog(t)
  await insertAged(log.db, [100, 70])
  await insertAged(log.db, [69], { ahead: 60 })
  await seal(log.db)
  await insertAged(log.db, [68])
  await seal(log.db)
  // Recent events with old ids, as from a clock that is behind. One more event is not settled yet.
  await insertAged(log.db, [3, 2], { ahead: -80 })
  await insertAged(log.db, [1])
  await seal(log.db)
  await insertAged(log.db, [66], { outcome: 'denied' })
  await log.archive()
  t.same(
    await log.ages(),
    [66, 3, 2, 1],
    'the event of a clock that is ahead is exported with the events sealed before it'
  )
  await seal(log.db)
  const { rows } = await sql<{ position: number }>`select position from audit_links order by 1`.execute(
    log.db
  )
  t.same(
    rows.map(({ position }) => position),
    [5, 6, 7, 8, 9, 10]
  )
})

t.test('an interrupted run can be continued, also by two processes at the same time', async (t) => {
  const log = await oldLog(t)
  await insertAged(log.db, [100, 70, 40, 5])
  await seal(log.db)
  const signer = new SigningKey(newSigningKey())
  const stop = () => {
    throw new Error('stopped')
  }
  const options = { directory: log.directory, keepDays: 45, signer }
  await t.rejects(archiveEvents(log.db, { ...options, onExported: stop }), { message: 'stopped' })
  t.same(await log.ages(), [100, 70, 40, 5], 'nothing is dropped before it is written')
  const first = await readdir(log.directory)
  t.equal(first.length, 3)
  const bytes = await readFile(join(log.directory, first.sort()[1]!))

  await Promise.allSettled([archiveEvents(log.db, options), archiveEvents(log.db, options)])
  await archiveEvents(log.db, options)
  t.same(await log.ages(), [40, 5])
  t.same(
    await readFile(join(log.directory, first[1]!)),
    bytes,
    'the file is written again with the same content'
  )
  const files = (await readdir(log.directory)).sort()
  t.equal(files.length, 6, files.join())
  for (const name of files.filter((one) => one.endsWith('.head.json'))) {
    const head = await readFile(join(log.directory, name))
    const signature = await readFile(join(log.directory, name.replace('.json', '.sig')))
    t.ok(verify(null, head, createPublicKey(signer.publicKey), signature))
    const { file, sha256, events } = JSON.parse(head.toString())
    const data = await readFile(join(log.directory, file))
    t.equal(createHash('sha256').update(data).digest('hex'), sha256)
    t.equal((await linesIn(join(log.directory, file))).length, events)
  }
})

t.test('a head with an invalid signature is refused', async (t) => {
  const log = await oldLog(t)
  await insertAged(log.db, [100, 70, 5])
  await seal(log.db)
  await log.archive()
  const { code, err } = await log.latchkey('audit', 'verify')
  t.equal(code, 1)
  t.match(
    err,
    /^latchkey: the signed head at position 1 of the hash chain was not signed by this installation/
  )
  t.match((await log.latchkey('audit', 'archive', log.directory)).err, /was not signed/)
})

t.test('an archive run goes on if the reader of its output ends', async (t) => {
  const log = await oldLog(t)
  await insertAged(log.db, [100, 80, 40])
  await seal(log.db)
  t.match(await runCli(log.env, ['audit', 'archive', log.directory], { reads: false }), { code: 0, err: '' })
  t.same(await log.ages(), [40])
  t.equal((await readdir(log.directory)).length, 6)
})

t.test('the signing key survives rotations of the data key', async (t) => {
  const log = await oldLog(t)
  const { out } = await log.latchkey('audit', 'public-key')
  const rootKeys = parseRootKeys(log.rootKey)
  const keyring = await openKeyring(log.db, rootKeys)
  await rotateDataKey(log.db, rootKeys[0]!, operator, 'asked')
  await keyring.refresh()
  await sql`update data_keys set retired_at = retired_at - interval '1 hour'`.execute(log.db)
  t.match((await log.latchkey('keys', 'destroy', '1')).err, /data key 1 was not destroyed: /)
  await reencryptAll(log.db, keyring)
  const destroyed = await log.latchkey('keys', 'destroy', '1')
  t.equal(destroyed.code, 0, destroyed.err)
  t.equal((await log.latchkey('audit', 'public-key')).out, out, 'the key is unchanged')
})

t.test('commands on the audit log leave data keys under their root key', async (t) => {
  const log = await oldLog(t)
  await insertAged(log.db, [100, 70])
  await seal(log.db)
  await log.latchkey('audit', 'public-key')
  const keys = () => log.db.selectFrom('data_keys').select(['number', 'root_key_fingerprint']).execute()
  const before = await keys()
  const env = { ...log.env, LATCHKEY_ROOT_KEYS: `${newRootKey('next')},${log.rootKey}` }
  for (const words of [
    ['audit', 'public-key'],
    ['audit', 'archive', log.directory],
    ['audit', 'verify']
  ])
    t.match(await runCli(env, words), { code: 0, err: '' }, words.join(' '))
  t.same(await keys(), before, 'replicas without the first root key of the command can restart')
})

t.test('archive says what is missing', async (t) => {
  const log = await oldLog(t)
  const { LATCHKEY_AUDIT_KEEP_DAYS: _, ...unset } = log.env
  t.match(await runCli(unset, ['audit', 'archive', log.directory]), {
    code: 1,
    err: 'latchkey: LATCHKEY_AUDIT_KEEP_DAYS is not set, so all events stay in the database\n'
  })
  t.match(await log.latchkey('audit', 'archive', join(log.directory, 'none')), {
    code: 1,
    err: /is not a directory/
  })
})
