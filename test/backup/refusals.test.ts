import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { FRAMES, FrameWriter, readFrames } from '../../src/backup/frames.ts'
import { checkBackup } from '../../src/backup/restore.ts'
import { backupTag } from '../../src/crypto/backup-tag.ts'
import { unwrapKey } from '../../src/features/keys/backup-key.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import { startTestApp, type TestApp } from '../helpers/app.ts'
import { emptyDatabase, newBackupDirectory, onDatabase, tablesIn } from '../helpers/backups.ts'
import { newCredential, newType } from '../helpers/fixtures.ts'

t.setTimeout(300_000)

async function startWithBackup(t: Test) {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  await newCredential(ann, await newType(ann))
  const directory = await newBackupDirectory(t)
  const file = join(directory, 'latchkey.backup')
  t.equal((await onDatabase(service.databaseUrl, service)('backup', file)).code, 0)
  return { service, file, bytes: await readFile(file), changed: join(directory, 'changed.backup') }
}

async function* inPieces(bytes: Buffer, size = 1_000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

interface Edited {
  type: keyof typeof FRAMES
  payload: Buffer
}

/** Rewrites a backup with edited frames and valid checksums. With `rootKeys`, its tag is valid too. */
async function rewritten(
  bytes: Buffer,
  edit: (frame: Edited) => Edited[],
  rootKeys?: TestApp['rootKeys']
): Promise<Buffer> {
  const writer = new FrameWriter()
  const parts = [writer.firstLine()]
  let dataKey: Buffer = Buffer.alloc(32)
  for await (const { type, payload } of readFrames(inPieces(bytes))) {
    const name = (Object.keys(FRAMES) as Edited['type'][]).find((one) => FRAMES[one] === type)!
    if (name === 'header' && rootKeys) {
      const { number, wrapped, rootKey } = JSON.parse(payload.toString()).dataKey
      dataKey = await unwrapKey({ number, wrapped: Buffer.from(wrapped, 'base64'), rootKey }, rootKeys)
    }
    for (const frame of edit({ type: name, payload })) {
      let content: Buffer | object = frame.payload
      if (frame.type === 'tableEnd')
        content = { ...JSON.parse(frame.payload.toString()), sha256: writer.digest.toString('hex') }
      if (frame.type === 'end') content = { tag: backupTag(dataKey, writer.digest).toString('hex') }
      parts.push(
        Buffer.isBuffer(content) ? writer.frame(frame.type, content) : writer.json(frame.type, content)
      )
    }
  }
  return Buffer.concat(parts)
}

const editHeader =
  (change: (header: Record<string, unknown>) => object) =>
  ({ type, payload }: Edited): Edited[] => [
    {
      type,
      payload:
        type === 'header' ? Buffer.from(JSON.stringify(change(JSON.parse(payload.toString())))) : payload
    }
  ]

t.test('a damaged or foreign file is refused, and nothing is restored', async (t) => {
  const { service, bytes, changed } = await startWithBackup(t)
  const empty = await emptyDatabase(t)
  const restore = onDatabase(empty.ownerUrl, service)
  const flipped = Buffer.from(bytes)
  flipped[Math.floor(bytes.length / 2)]! ^= 1
  for (const [content, reason] of [
    [bytes.subarray(0, bytes.length - 1), 'is cut off'],
    [bytes.subarray(0, bytes.length / 2), 'is cut off'],
    [flipped, /is damaged/],
    [Buffer.concat([bytes, Buffer.from('\n')]), 'continues after its end'],
    [Buffer.concat([bytes, bytes]), 'continues after its end'],
    [Buffer.alloc(0), 'is empty'],
    [Buffer.from('PGDMP\x01\x0e a dump of another program'), 'is not a backup of Latchkey'],
    [Buffer.from('latchkey backup 2\n and more'), 'has the format 2, but this version reads the format 1'],
    [await rewritten(bytes, (frame) => [frame]), 'was not written by a service with this root key']
  ] as const) {
    await writeFile(changed, content)
    const { code, out, err } = await restore('restore', changed)
    t.same([code, out], [1, ''], String(reason))
    t.match(err, /^latchkey: nothing was restored: [^\n]*\n$/)
    t.match(err, new RegExp(reason))
    t.same(await tablesIn(empty.db), [])
  }
  const gone = await restore('restore', `${changed}.gone`)
  t.match(gone, { code: 1, err: /^latchkey: .*\.gone cannot be read \(ENOENT\)\n$/ })
})

t.test('a change of any byte, or a cut at any byte, is found', async (t) => {
  const { service, bytes } = await startWithBackup(t)
  await checkBackup(inPieces(bytes, 7), service.rootKeys)
  const step = Math.ceil(bytes.length / 400)
  for (let at = 0; at < bytes.length; at += step) {
    const flipped = Buffer.from(bytes)
    flipped[at]! ^= 1 << (at % 8)
    await t.rejects(checkBackup(inPieces(flipped), service.rootKeys), `byte ${at} changed`)
    await t.rejects(checkBackup(inPieces(bytes.subarray(0, at)), service.rootKeys), `cut at ${at}`)
  }
})

t.test('a backup written without the root key is not restored', async (t) => {
  const { service, bytes, changed } = await startWithBackup(t)
  const empty = await emptyDatabase(t)
  // Repeats the frames with data, as an attacker could add rows to create an account.
  await writeFile(
    changed,
    await rewritten(bytes, (frame) => (frame.type === 'data' ? [frame, frame] : [frame]))
  )
  const refused = await onDatabase(empty.ownerUrl, service)('restore', changed)
  t.match(refused, { code: 1, err: /was not written by a service with this root key, or has been changed/ })
  // Standard input can be read only once, so the tables are created before the check fails.
  const piped = await onDatabase(empty.ownerUrl, service, await readFile(changed))('restore', '-')
  t.equal(piped.code, 1, piped.err)
  t.same(await filledTables(empty.db), [])
})

t.test('table and column names in a file cannot inject SQL', async (t) => {
  const { service, bytes, changed } = await startWithBackup(t)
  const empty = await emptyDatabase(t)
  await sql`create table other (id int)`.execute(empty.db)
  for (const table of [
    { name: 'other', columns: ['id'] },
    { name: 'pg_authid', columns: ['rolname'] },
    { name: 'users', columns: ['id', 'role'] },
    { name: 'users"; drop table other; --', columns: ['id'] }
  ]) {
    const edited = await rewritten(
      bytes,
      (frame) =>
        frame.type === 'table' && frame.payload.includes('"name":"users"')
          ? [{ type: 'table', payload: Buffer.from(JSON.stringify(table)) }]
          : [frame],
      service.rootKeys
    )
    await writeFile(changed, edited)
    const refused = await onDatabase(empty.ownerUrl, service)('restore', changed)
    t.equal(refused.code, 1)
    t.match(refused.err, /^latchkey: nothing was restored: .*(is damaged|does not have \(\w+\))\n$/)
    t.same(await filledTables(empty.db), [])
  }
  t.ok((await tablesIn(empty.db)).includes('other'))
})

t.test('a backup of other tables, other keys or another database', async (t) => {
  const { service, file, bytes, changed } = await startWithBackup(t)
  const empty = await emptyDatabase(t)
  const restore = onDatabase(empty.ownerUrl, service)

  t.test('of a later version is refused with the version that is needed', async (t) => {
    const later = editHeader((header) => ({
      ...header,
      latchkey: '7.1.0',
      migrations: [
        ...(header['migrations'] as object[]),
        { name: '20990101T000000_later', sha256: '0'.repeat(64) }
      ]
    }))
    await writeFile(changed, await rewritten(bytes, later, service.rootKeys))
    const refused = await restore('restore', changed)
    t.match(refused, {
      code: 1,
      err: /^latchkey: this backup is from Latchkey 7\.1\.0 .*with 7\.1\.0 or later\n$/
    })
  })

  t.test('whose header would write to the terminal is refused', async (t) => {
    for (const part of [{ latchkey: '\u001b]0;title\u0007' }, { rootKeys: ['\u009b2J'] }]) {
      await writeFile(
        changed,
        await rewritten(
          bytes,
          editHeader((header) => ({ ...header, ...part }))
        )
      )
      t.match(await restore('restore', changed), { code: 1, out: '', err: /changed\.backup is damaged\n$/ })
    }
  })

  t.test('with another migration of the same name is refused', async (t) => {
    const other = editHeader((header) => ({
      ...header,
      migrations: (header['migrations'] as { name: string }[]).map(({ name }) => ({
        name,
        sha256: createHash('sha256').update(name).digest('hex')
      }))
    }))
    await writeFile(changed, await rewritten(bytes, other, service.rootKeys))
    t.match(await restore('restore', changed), {
      code: 1,
      err: /differs between this backup and this installation\n$/
    })
  })

  t.test('without its root key is refused with the fingerprint of that key', async (t) => {
    const refused = await onDatabase(empty.ownerUrl, { rootKeyList: newRootKey('new') })('restore', file)
    const needed = service.rootKeys[0]!.fingerprint
    t.equal(refused.code, 1)
    t.match(refused.err, `latchkey: this backup requires the root key with the fingerprint ${needed} in `)
    t.match(refused.err, /given: [0-9a-f]{16} \(new\)\n$/)
  })

  t.test('into a database with rows is refused', async (t) => {
    const refused = await onDatabase(service.databaseUrl, service)('restore', file)
    t.match(refused, { code: 1, err: /^latchkey: the database is not empty \(the table \w+ has rows\)/ })
    t.equal((await service.admin.get('/api/v1/session')).status, 200)
  })

  t.same(await tablesIn(empty.db), [], 'no attempt created a table')
})

async function filledTables(db: TestApp['db']): Promise<string[]> {
  const filled: string[] = []
  for (const table of await tablesIn(db)) {
    const { rows } = await sql`select from ${sql.table(table)} limit 1`.execute(db)
    if (rows.length > 0) filled.push(table)
  }
  return filled
}
