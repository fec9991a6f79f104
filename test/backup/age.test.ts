import { execFile } from 'node:child_process'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { emptyDatabase, newBackupDirectory, onDatabase, tablesIn } from '../helpers/backups.ts'
import { newCredential, newType } from '../helpers/fixtures.ts'

t.setTimeout(300_000)

const run = promisify(execFile)
const hasAge = await run('age', ['--version']).then(
  () => true,
  () => false
)

t.test('a backup can be encrypted to age recipients', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  await newCredential(ann, await newType(ann))
  const directory = await newBackupDirectory(t)
  const latchkey = onDatabase(service.databaseUrl, service)
  const newIdentity = async (name: string) => {
    const identity = await generateX25519Identity()
    const file = join(directory, name)
    const recipient = await identityToRecipient(identity)
    await writeFile(file, `# public key: ${recipient}\n${identity}\n`, { mode: 0o600 })
    return { file, recipient, identity }
  }
  const [one, two, other] = [await newIdentity('one'), await newIdentity('two'), await newIdentity('other')]
  const file = join(directory, 'latchkey.age')
  const taken = await latchkey('backup', file, '--recipient', one.recipient, '--recipient', two.recipient)
  t.match(taken, { code: 0, out: '' })
  const bytes = await readFile(file)
  t.match(bytes.toString('latin1'), /^age-encryption\.org\/v1\n/)
  t.notMatch(bytes.toString('latin1'), 'latchkey')

  t.test('the identity of each recipient restores it', async (t) => {
    for (const { file: identity } of [one, two]) {
      const empty = await emptyDatabase(t)
      const restored = await onDatabase(empty.ownerUrl, service)('restore', file, '--identity', identity)
      t.match(restored, { code: 0, err: '', out: /^Restored \d+ rows/ })
    }
  })

  t.test('without such an identity it is refused, and nothing is restored', async (t) => {
    const empty = await emptyDatabase(t)
    const restore = onDatabase(empty.ownerUrl, service)
    const changed = join(directory, 'changed.age')
    const refused = async (content: Buffer, words: string[], reason: RegExp) => {
      await writeFile(changed, content)
      const { code, out, err } = await restore('restore', changed, ...words)
      t.same([code, out], [1, ''])
      t.match(err, reason)
      t.equal(err.trim().split('\n').length, 1)
      t.notMatch(err, /AGE-SECRET-KEY-1/)
      t.same(await tablesIn(empty.db), [])
    }
    const by = (identity: string) => ['--identity', identity]
    await refused(bytes, [], /this backup is encrypted: give the file of the age identity as --identity/)
    await refused(bytes, by(other.file), /not encrypted to the recipient of this identity/)
    await refused(bytes, by(join(directory, 'none')), /--identity must name a private file: .* \(ENOENT\)/)
    await refused(bytes.subarray(0, 60), by(one.file), /is damaged or cut off/)
    await refused(bytes.subarray(0, bytes.length - 5), by(one.file), /is damaged or cut off/)
    await refused(Buffer.concat([bytes, Buffer.from('x')]), by(one.file), /is damaged or cut off/)
    const flipped = Buffer.from(bytes)
    flipped[bytes.length - 100]! ^= 1
    await refused(flipped, by(one.file), /is damaged or cut off/)
    await refused(bytes, by(file), / (is no|cannot be read|is larger)|is not a file of age-keygen/)
    await chmod(two.file, 0o644)
    await refused(bytes, by(two.file), /by other users \(chmod 600\)/)
  })

  t.test('an invalid recipient is refused before anything is written', async (t) => {
    for (const recipient of ['age1nobody', 'ssh-ed25519 AAAA', one.identity]) {
      const refused = await latchkey('backup', join(directory, 'none.age'), '--recipient', recipient)
      t.match(refused, { code: 1, out: '', err: /^latchkey: --recipient must be a public key / })
      t.notMatch(refused.err, one.identity)
    }
    await t.rejects(readFile(join(directory, 'none.age')))
  })

  t.test('the age program decrypts it', { skip: !hasAge && 'age is not installed' }, async (t) => {
    const plain = join(directory, 'plain.backup')
    await run('age', ['--decrypt', '--identity', one.file, '--output', plain, file])
    t.match(await readFile(plain, 'latin1'), /^latchkey backup 1\n/)
    const again = join(directory, 'again.age')
    await run('age', ['--encrypt', '--recipient', one.recipient, '--output', again, plain])
    for (const [path, ...words] of [[plain], [again, '--identity', one.file]] as const) {
      const empty = await emptyDatabase(t)
      const restored = await onDatabase(empty.ownerUrl, service)('restore', path, ...words)
      t.match(restored, { code: 0, out: /^Restored/ })
    }
  })
})
