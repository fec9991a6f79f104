import { execFileSync } from 'node:child_process'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { permissionFault, readPrivateFile } from '../src/private-file.ts'

const REGULAR = 0o100000

t.test('a file of the user must be private; a file of root may also be readable by its group', async (t) => {
  const cases: [mode: number, owner: number, self: number, fine: boolean][] = [
    [0o600, 1000, 1000, true],
    [0o400, 1000, 1000, true],
    [0o640, 1000, 1000, false],
    [0o604, 1000, 1000, false],
    [0o620, 1000, 1000, false],
    [0o666, 1000, 1000, false],
    [0o600, 0, 0, true],
    [0o440, 0, 0, false],
    [0o440, 0, 1000, true],
    [0o640, 0, 1000, true],
    [0o660, 0, 1000, false],
    [0o444, 0, 1000, false],
    [0o644, 0, 1000, false],
    [0o442, 0, 1000, false],
    [0o440, 1001, 1000, false],
    [0o600, 1001, 0, false]
  ]
  for (const [mode, uid, self, fine] of cases) {
    const what = `mode ${mode.toString(8)} of ${uid}, read by ${self}`
    t.equal(permissionFault({ mode: REGULAR | mode, uid }, self) === undefined, fine, what)
  }
  t.equal(
    permissionFault({ mode: 0o666, uid: 0 }, undefined),
    undefined,
    'systems without user ids have no such modes'
  )
})

t.test('a file is read, also through a symbolic link', async (t) => {
  const directory = t.testdir()
  await writeFile(join(directory, 'file'), 'text\n', { mode: 0o600 })
  await symlink('file', join(directory, 'link'))
  t.equal(readPrivateFile(join(directory, 'link')), 'text\n')
})

t.test(
  'anything but a small regular file is refused without blocking',
  { skip: process.platform === 'win32' },
  async (t) => {
    const directory = t.testdir()
    execFileSync('mkfifo', ['-m', '600', join(directory, 'pipe')])
    await writeFile(join(directory, 'long'), Buffer.alloc(65_537), { mode: 0o600 })
    const cases: [string, RegExp][] = [
      ['nothing', /^cannot be read \(ENOENT\)$/],
      ['.', /^is not a regular file$/],
      ['pipe', /^is not a regular file$/],
      ['long', /^is larger than 64 KiB$/]
    ]
    for (const [name, message] of cases) {
      t.throws(() => readPrivateFile(join(directory, name)), { name: 'FileRefused', message }, name)
    }
  }
)
