import { execFileSync } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ConfigError, readConfig } from '../src/config.ts'
import { variables } from '../src/config-variables.ts'

const KEYS = `2026a:${Buffer.alloc(32, 'root').toString('base64')}`
const URL = 'postgresql://latchkey:se%20cret@db.example.org/latchkey'

/** A valid value of each secret that may be in a file, and the other variables that it requires. */
const SECRETS: Record<string, { value: string; others?: NodeJS.ProcessEnv }> = {
  DATABASE_URL: { value: URL, others: { LATCHKEY_ROOT_KEYS: KEYS } },
  LATCHKEY_MIGRATION_DATABASE_URL: {
    value: URL,
    others: { DATABASE_URL: `${URL}?application_name=x`, LATCHKEY_ROOT_KEYS: KEYS }
  },
  LATCHKEY_ROOT_KEYS: { value: KEYS },
  LATCHKEY_ADMIN_PASSWORD: { value: ' correct hörse battery ' }
}

async function secretFile(t: Test, text: string | Buffer, mode = 0o600): Promise<string> {
  const path = join(t.testdir(), 'secret')
  await writeFile(path, text, { mode })
  return path
}

/** Returns the error message. Asserts that it is one line without the text "canary". */
function refusal(env: NodeJS.ProcessEnv): string {
  try {
    readConfig(env)
  } catch (error) {
    const { message } = error as Error
    t.type(error, ConfigError)
    t.notMatch(message, '\n')
    t.notMatch(message, 'canary')
    return message
  }
  t.fail('it was accepted')
  return ''
}

const comparable = (env: NodeJS.ProcessEnv) => {
  const { rootKeys, ...rest } = readConfig(env)
  return { ...rest, rootKeys: rootKeys?.map(({ name }) => name) }
}

t.test('every secret variable can be in a file', async (t) => {
  const withFile = variables.filter(({ isSecret }) => isSecret).map(({ name }) => name)
  t.same(withFile.sort(), Object.keys(SECRETS).sort())
  for (const { name } of variables) {
    const looksSecret = /PASSWORD|SECRET|TOKEN|KEYS|DATABASE_URL/.test(name) && !name.endsWith('_FILE')
    if (looksSecret)
      t.ok(
        variables.some((other) => other.name === `${name}_FILE`),
        name
      )
  }
  for (const [name, { value, others }] of Object.entries(SECRETS)) {
    const expected = comparable({ ...others, [name]: value })
    for (const end of ['', '\n', '\r\n']) {
      const path = await secretFile(t, `${value}${end}`)
      t.same(comparable({ ...others, [`${name}_FILE`]: path }), expected, `${name} ${JSON.stringify(end)}`)
      t.same(comparable({ ...others, [`${name}_FILE`]: ` ${path} `, [name]: ' ' }), expected)
    }
    t.same(comparable({ ...others, [name]: value, [`${name}_FILE`]: '' }), expected, 'an empty name is unset')
  }
})

t.test('symbolic links, as in secrets that Kubernetes mounts, are followed', async (t) => {
  const directory = t.testdir()
  await mkdir(join(directory, '..2026'))
  await writeFile(join(directory, '..2026/password'), 'correct horse battery', { mode: 0o600 })
  await symlink('..2026', join(directory, '..data'))
  await symlink('..data/password', join(directory, 'password'))
  const { adminPassword } = readConfig({ LATCHKEY_ADMIN_PASSWORD_FILE: join(directory, 'password') })
  t.equal(adminPassword, 'correct horse battery')
})

t.test('a secret and its file are refused together', async (t) => {
  for (const [name, { value, others }] of Object.entries(SECRETS)) {
    const path = await secretFile(t, value)
    t.equal(
      refusal({ ...others, [name]: 'canary', [`${name}_FILE`]: path }),
      `${name} and ${name}_FILE are both set; set only one of them`
    )
  }
})

t.test('the error for an unusable file names the variable and not the content', async (t) => {
  for (const [name, { value, others }] of Object.entries(SECRETS)) {
    const file = `${name}_FILE`
    const isRefused = async (path: string, reason: string) =>
      t.equal(refusal({ ...others, [file]: path }), `${file} must name a private file: the file ${reason}`)
    await isRefused('/canary', 'cannot be read (ENOENT)')
    await isRefused(t.testdir(), 'is not a regular file')
    for (const text of ['', '\n', ' \t\n\n']) await isRefused(await secretFile(t, text), 'is empty')
    const latin1 = Buffer.from(`${value}canary\xe4`, 'latin1')
    await isRefused(await secretFile(t, latin1), 'is not valid UTF-8')
    await isRefused(await secretFile(t, 'canary'.repeat(11_000)), 'is larger than 64 KiB')
    if (name !== 'LATCHKEY_ROOT_KEYS')
      for (const more of ['\ncanary', '\n\n', '\rcanary', '\ncanary\n'])
        await isRefused(await secretFile(t, `${value}${more}`), 'has more than one line')
    if (process.platform === 'win32') continue
    execFileSync('chmod', ['644', await secretFile(t, value)])
    await isRefused(join(t.testdirName, 'secret'), 'can be read or written by other users (chmod 600)')
    execFileSync('mkfifo', ['-m', '600', join(t.testdir(), 'pipe')])
    await isRefused(join(t.testdirName, 'pipe'), 'is not a regular file')
  }
})

t.test('a value in a file is validated like one in a variable', async (t) => {
  const wrong: [string, string, RegExp][] = [
    ['DATABASE_URL', 'mysql://canary@example.org', /^DATABASE_URL_FILE must contain a postgres:/],
    [
      'DATABASE_URL',
      'postgres://canary/x?target_session_attrs=standby',
      /^DATABASE_URL_FILE cannot be used: /
    ],
    ['LATCHKEY_MIGRATION_DATABASE_URL', 'canary', /^LATCHKEY_MIGRATION_DATABASE_URL_FILE must contain /],
    ['LATCHKEY_ADMIN_PASSWORD', 'canary', /^LATCHKEY_ADMIN_PASSWORD_FILE must contain a password of 12 /],
    ['LATCHKEY_ROOT_KEYS', 'canary', /^LATCHKEY_ROOT_KEYS_FILE must be a list /]
  ]
  for (const [name, text, message] of wrong) {
    const path = await secretFile(t, text)
    t.match(refusal({ ...SECRETS[name]?.others, [`${name}_FILE`]: path }), message)
  }
})
