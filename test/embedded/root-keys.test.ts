import { chmod, mkdir, readdir, readFile, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseRootKeys } from '../../src/root-keys/list.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import { newDirectory, startEmbeddedService } from '../helpers/embedded-service.ts'
import { startProcess } from '../helpers/process.ts'

// Starts many processes in sequence.
t.setTimeout(300_000)

async function refusal(t: Test, cwd: string, env: Record<string, string> = {}): Promise<string> {
  const service = startProcess(t, cwd, { LOG_LEVEL: 'silent', ...env })
  t.equal(await service.exited, 1)
  const lines = service.output().trim().split('\n')
  t.equal(lines.length, 1, service.output())
  return lines[0]!
}

t.test('a lost root.keys is not replaced if a database exists', async (t) => {
  const cwd = await newDirectory(t)
  const data = join(cwd, 'data')
  const path = join(data, 'root.keys')
  const safe = join(cwd, 'safe')
  await (await startEmbeddedService(t, cwd)).stop()
  const text = await readFile(path, 'utf8')
  const [{ fingerprint } = { fingerprint: '' }] = parseRootKeys(text)
  const needed = `restore your copy of ${path}, which has the fingerprint ${fingerprint}`
  await rename(path, safe)
  const files = await readdir(data)

  const lost = await refusal(t, cwd)
  t.equal(lost, `latchkey: LATCHKEY_DATA_DIR contains a database but no root.keys: ${needed}`)
  t.same(await readdir(data), files, 'nothing is created')

  const others: Record<string, () => Promise<unknown>> = {
    empty: () => writeFile(path, '', { mode: 0o600 }),
    truncated: () => writeFile(path, text.slice(0, 30), { mode: 0o600 }),
    'a directory': () => mkdir(path),
    'a link to nothing': () => symlink(safe.concat('-gone'), path)
  }
  for (const [what, put] of Object.entries(others)) {
    await put()
    const line = await refusal(t, cwd)
    t.ok(line.startsWith('latchkey: LATCHKEY_DATA_DIR contains a '), line)
    t.ok(line.endsWith(needed), `${what}: ${line}`)
    t.notMatch(line, text.split(':')[1]!.slice(0, 8), 'no part of a key')
    t.same((await readdir(data)).sort(), [...files, 'root.keys'].sort(), what)
    await rm(path, { recursive: true })
  }
  await writeFile(path, text)
  await chmod(path, 0o644)
  t.equal(
    await refusal(t, cwd),
    'latchkey: LATCHKEY_DATA_DIR contains a file that can be read or written by other users (chmod 600): ' +
      path,
    'the key itself is right, so no copy is needed'
  )
  await rm(path)
  await writeFile(path, `${newRootKey('other')}\n`, { mode: 0o600 })
  t.match(await refusal(t, cwd), `needed ${fingerprint}`)

  await rename(safe, path)
  await (await startEmbeddedService(t, cwd)).stop()
  await unlink(path)
  const elsewhere = await startEmbeddedService(t, cwd, { LATCHKEY_ROOT_KEYS: text.trim() })
  await elsewhere.stop()
  t.notOk((await readdir(data)).includes('root.keys'), 'a key from a variable needs no file')
})

t.test('a new database uses an existing root key', async (t) => {
  const cwd = await newDirectory(t)
  const path = join(cwd, 'data/root.keys')
  await mkdir(join(cwd, 'data'), { mode: 0o700 })
  await writeFile(path, 'none', { mode: 0o600 })
  t.match(
    await refusal(t, cwd),
    /^latchkey: LATCHKEY_DATA_DIR contains a root\.keys that is not a list of keys/
  )
  t.same(await readdir(join(cwd, 'data')), ['root.keys'], 'no database is created for an invalid file')
  const key = newRootKey('mine')
  await writeFile(path, key)
  const service = await startEmbeddedService(t, cwd)
  t.match(service.output(), `The new database uses the root key in ${path}.`)
  t.match(service.output(), `Creating the database in ${join(cwd, 'data')}; this takes a few seconds.`)
  t.equal(await readFile(path, 'utf8'), key)
})
