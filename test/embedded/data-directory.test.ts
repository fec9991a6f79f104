import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  adminPasswordIn,
  makeRootKey,
  prepareDataDirectory,
  readAdminPassword,
  readRootKeys,
  removeAdminPassword
} from '../../src/embedded/data-directory.ts'

async function newDirectory(t: Test) {
  const parent = await mkdtemp(join(tmpdir(), 'latchkey-data-'))
  t.teardown(() => rm(parent, { recursive: true, force: true }))
  const directory = join(parent, 'some/where')
  await prepareDataDirectory(directory)
  return directory
}
const modeOf = async (path: string) => (await stat(path)).mode & 0o777

t.test('the directory and its files are created once, for this user only', async (t) => {
  const directory = await newDirectory(t)
  t.equal(await modeOf(directory), 0o700)
  t.equal(await readRootKeys(directory), undefined)
  t.equal(readAdminPassword(directory), undefined)
  t.same(await readdir(directory), [], 'reading creates nothing')
  t.equal(await makeRootKey(directory), join(directory, 'root.keys'))
  const first = await readRootKeys(directory)
  const password = await adminPasswordIn(directory)
  t.match(password, /^[A-Za-z0-9_-]{24}$/)
  t.same(await readdir(directory), ['admin.password', 'root.keys'], 'nothing else is left')
  for (const file of await readdir(directory)) t.equal(await modeOf(join(directory, file)), 0o600, file)
  await prepareDataDirectory(directory)
  await makeRootKey(directory)
  const second = await readRootKeys(directory)
  t.equal(second![0]!.fingerprint, first![0]!.fingerprint)
  t.equal(await adminPasswordIn(directory), password)
  t.equal(readAdminPassword(directory), password)
  await removeAdminPassword(directory)
  await removeAdminPassword(directory)
  t.same(await readdir(directory), ['root.keys'])
})

t.test('processes that start at the same time use one root key and never read a partial one', async (t) => {
  const directory = await newDirectory(t)
  const made = async () => {
    await makeRootKey(directory)
    return (await readRootKeys(directory))!
  }
  const all = await Promise.all(Array.from({ length: 20 }, made))
  t.equal(new Set(all.map((keys) => keys[0]!.fingerprint)).size, 1)
  t.same(await readdir(directory), ['root.keys'])
})

t.test('an invalid file is an error of one line without any of its content', async (t) => {
  const directory = await newDirectory(t)
  await makeRootKey(directory)
  const path = join(directory, 'root.keys')
  const whole = await readFile(path, 'utf8')
  for (const text of ['', '\n', whole.slice(0, 20), whole.slice(0, -4), 'canary']) {
    await writeFile(path, text)
    const error = await readRootKeys(directory).catch((caught) => caught)
    t.match(error, {
      name: 'ConfigError',
      message: /^LATCHKEY_DATA_DIR contains a root\.keys that is not a list of keys/
    })
    t.notMatch(error.message, '\n')
    t.notMatch(error.message, 'canary')
    t.notMatch(error.message, whole.split(':')[1]!.slice(0, 6))
    t.equal(await readFile(path, 'utf8'), text, 'the file is not changed')
  }
})

t.test('a file that others may read is an error', { skip: process.platform === 'win32' }, async (t) => {
  const directory = await newDirectory(t)
  await makeRootKey(directory)
  for (const mode of [0o640, 0o604, 0o620, 0o666]) {
    await chmod(join(directory, 'root.keys'), mode)
    await t.rejects(readRootKeys(directory), {
      name: 'ConfigError',
      message: /^LATCHKEY_DATA_DIR contains a file that .* by other users \(chmod 600\): .*root\.keys$/
    })
  }
})

t.test('a directory that cannot be created or written is an error', async (t) => {
  const directory = await newDirectory(t)
  const file = join(directory, 'file')
  await writeFile(file, '')
  for (const path of [file, join(file, 'below'), join(file, 'further/below')]) {
    await t.rejects(prepareDataDirectory(path), {
      name: 'ConfigError',
      message: /^LATCHKEY_DATA_DIR must be /
    })
  }
  const closed = join(directory, 'closed')
  await mkdir(closed, { mode: 0o500 })
  if (process.getuid?.() !== 0) await t.rejects(prepareDataDirectory(closed), { name: 'ConfigError' })
})
