import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { fullFormats } from 'ajv-formats/dist/formats.js'
import t from 'tap'
import { configurationPage } from '../scripts/configuration.ts'
import { ConfigError, readConfig } from '../src/config.ts'
import { variables } from '../src/config-variables.ts'

const KEYS = `2026a:${Buffer.alloc(32, 'root').toString('base64')}`
const DATABASE_URL = 'postgresql://latchkey:secret@db.example.org/latchkey'

const VAULT = {
  LATCHKEY_ROOT_KEYS: 'main:vault-transit:latchkey',
  VAULT_ADDR: 'https://vault.example.org',
  VAULT_TOKEN: 'token'
}

t.test('every setting has a default', async (t) => {
  t.same(readConfig({}), {
    databaseUrl: undefined,
    migrationDatabaseUrl: undefined,
    databaseConnections: 21,
    host: '127.0.0.1',
    port: 8080,
    publicOrigin: undefined,
    logLevel: 'info',
    dataDirectory: resolve('data'),
    rootKeys: undefined,
    adminEmail: undefined,
    adminPassword: undefined,
    cell: undefined,
    sessionIdleMinutes: 30,
    sessionMaxHours: 12,
    callerRequestsPerMinute: 12_000,
    addressRequestsPerMinute: 1_200,
    trustProxy: false,
    corsOrigins: [],
    dataKeyMaxDays: 90,
    dataKeyKeepDays: 30,
    metricsPort: undefined,
    metricsHost: '127.0.0.1',
    unknownVariables: []
  })
})

t.test('unknown variables with the prefix LATCHKEY_ are reported', async (t) => {
  const { unknownVariables } = readConfig({
    LATCHKEY_DATADIR: '/data',
    LATCHKEY_ADMIN_EMIAL: 'ann@example.org',
    LATCHKEY_DATA_DIR: '/data',
    LATCHKEYS: 'x',
    // Kubernetes sets these for a service with the name "latchkey".
    LATCHKEY_SERVICE_HOST: '10.0.0.1',
    LATCHKEY_SERVICE_PORT_HTTP: '80',
    LATCHKEY_PORT: 'tcp://10.0.0.1:80',
    LATCHKEY_PORT_80_TCP_ADDR: '10.0.0.1'
  })
  t.same(unknownVariables, ['LATCHKEY_DATADIR', 'LATCHKEY_ADMIN_EMIAL'])
  // A mistake for PORT: Kubernetes would set a URL.
  t.same(readConfig({ LATCHKEY_PORT: '8081' }).unknownVariables, ['LATCHKEY_PORT'])
})

const NAMES = variables.map(({ name }) => name)

t.test('docs/operations/configuration.md is current, and documents every variable', async (t) => {
  const page = await readFile(join(import.meta.dirname, '../docs/operations/configuration.md'), 'utf8')
  t.equal(page, configurationPage(), 'run `npm run configuration`, read the diff')
  t.ok(NAMES.length >= 22, `${NAMES.length} variables`)
  for (const name of NAMES) t.match(page, new RegExp(`^(### |- In a file: )\`${name}\``, 'm'))
})

t.test('an empty variable counts as unset', async (t) => {
  for (const value of ['', ' ', '\t\n']) {
    t.same(readConfig(Object.fromEntries(NAMES.map((name) => [name, value]))), readConfig({}))
  }
})

t.test('every setting is read', async (t) => {
  const config = readConfig({
    DATABASE_URL,
    LATCHKEY_MIGRATION_DATABASE_URL: `${DATABASE_URL}?application_name=owner`,
    LATCHKEY_DATABASE_CONNECTIONS: '4',
    HOST: '0.0.0.0',
    PORT: '0',
    PUBLIC_URL: 'https://Keys.example.org:443/',
    LOG_LEVEL: 'debug',
    LATCHKEY_DATA_DIR: 'somewhere/else',
    LATCHKEY_ROOT_KEYS: KEYS,
    LATCHKEY_ADMIN_EMAIL: 'ann@example.org',
    LATCHKEY_ADMIN_PASSWORD: 'correct horse battery',
    LATCHKEY_CELL: 'eu1',
    LATCHKEY_SESSION_IDLE_MINUTES: '5',
    LATCHKEY_SESSION_MAX_HOURS: '1',
    LATCHKEY_CALLER_REQUESTS_PER_MINUTE: '0',
    LATCHKEY_ADDRESS_REQUESTS_PER_MINUTE: '60',
    TRUST_PROXY: '10.0.0.0/8, ::1',
    CORS_ORIGINS: 'https://a.example.org, http://localhost:3000',
    LATCHKEY_DATA_KEY_MAX_DAYS: '0',
    LATCHKEY_DATA_KEY_KEEP_DAYS: '7',
    LATCHKEY_AUDIT_KEEP_DAYS: '400',
    METRICS_PORT: '9464',
    METRICS_HOST: '0.0.0.0'
  })
  const { rootKeys, ...rest } = config
  t.same(rest, {
    databaseUrl: DATABASE_URL,
    migrationDatabaseUrl: `${DATABASE_URL}?application_name=owner`,
    databaseConnections: 4,
    host: '0.0.0.0',
    port: 0,
    publicOrigin: 'https://keys.example.org',
    logLevel: 'debug',
    dataDirectory: resolve('somewhere/else'),
    adminEmail: 'ann@example.org',
    adminPassword: 'correct horse battery',
    cell: 'eu1',
    sessionIdleMinutes: 5,
    sessionMaxHours: 1,
    callerRequestsPerMinute: 0,
    addressRequestsPerMinute: 60,
    trustProxy: ['10.0.0.0/8', '::1'],
    corsOrigins: ['https://a.example.org', 'http://localhost:3000'],
    dataKeyMaxDays: 0,
    dataKeyKeepDays: 7,
    auditKeepDays: 400,
    metricsPort: 9464,
    metricsHost: '0.0.0.0',
    unknownVariables: []
  })
  t.same(
    rootKeys?.map((key) => key.name),
    ['2026a']
  )
})

t.test('other valid values', async (t) => {
  const cases: [string, string, keyof ReturnType<typeof readConfig>, unknown][] = [
    ['PORT', '65535', 'port', 65_535],
    ['PORT', ' 80 ', 'port', 80],
    ['HOST', '::', 'host', '::'],
    ['HOST', 'keys.internal', 'host', 'keys.internal'],
    ['PUBLIC_URL', 'http://localhost:8080', 'publicOrigin', 'http://localhost:8080'],
    ['TRUST_PROXY', 'true', 'trustProxy', true],
    ['TRUST_PROXY', 'false', 'trustProxy', false],
    ['TRUST_PROXY', '2', 'trustProxy', 2],
    ['TRUST_PROXY', '127.0.0.1', 'trustProxy', ['127.0.0.1']],
    ['LATCHKEY_DATA_DIR', '/var/lib/latchkey', 'dataDirectory', '/var/lib/latchkey'],
    ['LATCHKEY_ADMIN_EMAIL', 'ann@b\u00fccher.example', 'adminEmail', 'ann@xn--bcher-kva.example'],
    ['LATCHKEY_ADMIN_PASSWORD', ' with spaces around it ', 'adminPassword', ' with spaces around it '],
    ['LATCHKEY_ADMIN_PASSWORD', '\u{1f511}'.repeat(256), 'adminPassword', '\u{1f511}'.repeat(256)],
    ['LATCHKEY_SESSION_IDLE_MINUTES', '10080', 'sessionIdleMinutes', 10_080],
    ['LATCHKEY_SESSION_MAX_HOURS', '720', 'sessionMaxHours', 720]
  ]
  for (const [name, value, key, expected] of cases) {
    t.same(readConfig({ [name]: value })[key], expected, `${name}=${value}`)
  }
})

t.test('the error for an invalid value is one line that names the variable and not the value', async (t) => {
  const cases: Record<string, string[]> = {
    DATABASE_URL: [
      'canary',
      'mysql://canary@example.org/db',
      'postgres//canary',
      'postgres://canary:99999/db',
      '/var/run/canary',
      'postgres://canary:100%@example.org/db',
      'postgres://canary:p%E4ssword@example.org/db',
      'postgres://canary%FF/db',
      'postgres://canary:1,example.org:99999/db',
      'postgres://canary:1,example.org:2,other:3/db?port=4,5',
      'postgres://canary,example.org/db?target_session_attrs=standby',
      'postgres://canary/db?target_session_attrs=prefer-standby'
    ],
    LATCHKEY_DATABASE_CONNECTIONS: ['canary', '3', '0', '-4', '1001', '4.5'],
    LATCHKEY_CELL: ['CANARY', 'can_ary', 'can-ary', 'can.ary', 'can ary', 'canaryandmore'],
    LATCHKEY_MIGRATION_DATABASE_URL: ['canary', 'mysql://canary@example.org/db', '/var/run/canary'],
    HOST: ['can ary', 'http://canary', 'canary:80', '-canary', 'canary/', 'c'.repeat(300)],
    PORT: ['canary', '-1', '65536', '80.5', '0x50', '1e3', '80 canary', '99999999999999999999'],
    PUBLIC_URL: [
      'canary',
      'ftp://canary.org',
      'https://canary.org/path',
      'https://canary.org?query',
      'https://canary.org#part',
      'https://canary@example.org',
      'https://:canary@example.org',
      'canary.org'
    ],
    LOG_LEVEL: ['canary', 'INFO', 'info,debug', '30'],
    LATCHKEY_ROOT_KEYS: [
      'canary',
      'canary:',
      'canary:short',
      `:${Buffer.alloc(32, 'canary').toString('base64')}`,
      Buffer.alloc(32, 'canary').toString('base64'),
      `a:${Buffer.alloc(31, 'canary').toString('base64')}`,
      `a:${Buffer.alloc(32, 'canary').toString('hex')}`,
      `${KEYS},${KEYS}`,
      ','
    ],
    DATABASE_URL_FILE: ['canary', '/canary/canary', '/tmp'],
    LATCHKEY_MIGRATION_DATABASE_URL_FILE: ['canary', '/canary/canary', '/tmp'],
    LATCHKEY_ROOT_KEYS_FILE: ['canary', '/canary/canary', '/tmp'],
    LATCHKEY_ADMIN_PASSWORD_FILE: ['canary', '/canary/canary', '/tmp'],
    VAULT_ADDR: [
      'canary',
      'http://canary.org:8200',
      'http://127.0.0.1.canary.org',
      'ftp://canary.org',
      'https://canary@example.org',
      'https://canary.org?query'
    ],
    VAULT_NAMESPACE: ['can ary', 'canary\r\nx-vault-token: x', 'cänary'],
    VAULT_TOKEN: ['can ary', 'canary\ncanary', 'cänary'],
    LATCHKEY_ADMIN_EMAIL: [
      'canary',
      'canary@',
      '@canary',
      'canary@localhost',
      'a b@canary.org',
      'a@b@canary.org'
    ],
    LATCHKEY_ADMIN_PASSWORD: ['canary', 'canary-cana', '\u{1f511}'.repeat(11), 'canary'.repeat(43)],
    LATCHKEY_SESSION_IDLE_MINUTES: ['canary', '0', '-5', '10081', '1.5', '30m'],
    LATCHKEY_SESSION_MAX_HOURS: ['canary', '0', '-5', '721', '0.5', '12h'],
    TRUST_PROXY: [
      'canary',
      'yes',
      '-1',
      '1000',
      '10.0.0.0/33',
      '10.0.0.0/0',
      '10.0.0.0/',
      '10.0.0.0/8/8',
      '::1/129',
      '10.0.0.1,canary',
      'loopback'
    ],
    CORS_ORIGINS: [
      'canary',
      '*',
      'null',
      'https://canary.org/path',
      'https://canary.org,',
      'https://canary.org https://example.org',
      'https://*.canary.org',
      'file:///canary'
    ],
    LATCHKEY_DATA_KEY_MAX_DAYS: ['canary', '-1', '3651', '1.5', '90d'],
    LATCHKEY_DATA_KEY_KEEP_DAYS: ['canary', '-1', '3651', '1.5', '30d'],
    LATCHKEY_AUDIT_KEEP_DAYS: ['canary', '0', '-1', '36501', '1.5', '30d'],
    LATCHKEY_CALLER_REQUESTS_PER_MINUTE: ['canary', '-1', '10000001', '1.5', '60/s'],
    LATCHKEY_ADDRESS_REQUESTS_PER_MINUTE: ['canary', '-1', '10000001', '1.5', '60/s'],
    METRICS_PORT: ['canary', '-1', '65536'],
    METRICS_HOST: ['can ary', 'http://canary', 'canary:80']
  }
  t.same(
    Object.keys(cases).sort(),
    NAMES.filter((name) => !['LATCHKEY_DATA_DIR', 'VAULT_TOKEN_FILE'].includes(name)).sort(),
    'all variables that can have an invalid value'
  )
  for (const [name, values] of Object.entries(cases)) {
    for (const value of values) {
      const others =
        name === 'DATABASE_URL' ? { LATCHKEY_ROOT_KEYS: KEYS } : /^VAULT_/.test(name) ? VAULT : {}
      try {
        readConfig({ ...others, [name]: value })
        t.fail(`${name}=${value} was accepted`)
      } catch (error) {
        const { message } = error as Error
        t.type(error, ConfigError, `${name}=${value}`)
        t.match(
          message,
          new RegExp(`^${name} (must (be|name)|cannot be used:) `),
          `${name}=${value}: names the variable`
        )
        t.notMatch(message, '\n', 'one line')
        if (message.startsWith(`${name} must be `) && name !== 'LATCHKEY_ROOT_KEYS')
          t.match(message, '; see docs/operations/configuration.md')
        t.notMatch(message, 'canary', 'without the value')
        t.notMatch(
          message,
          Buffer.from('canary').toString('base64').slice(0, 6),
          'without the value in base64'
        )
      }
    }
  }
})

t.test('with DATABASE_URL and no root key the service refuses to start', async (t) => {
  for (const keys of [undefined, '', '  ']) {
    const env = { DATABASE_URL, ...(keys !== undefined && { LATCHKEY_ROOT_KEYS: keys }) }
    t.throws(() => readConfig(env), { name: 'ConfigError', message: /^LATCHKEY_ROOT_KEYS is required/ })
  }
  t.ok(readConfig({ DATABASE_URL, LATCHKEY_ROOT_KEYS: KEYS }))
})

t.test('LATCHKEY_MIGRATION_DATABASE_URL requires DATABASE_URL', async (t) => {
  t.throws(() => readConfig({ LATCHKEY_MIGRATION_DATABASE_URL: DATABASE_URL }), {
    name: 'ConfigError',
    message: 'LATCHKEY_MIGRATION_DATABASE_URL requires DATABASE_URL'
  })
})

t.test('root keys may be in a private file', async (t) => {
  const path = join(t.testdir(), 'root.keys')
  await writeFile(path, `# since May\n${KEYS}\nold:aws-kms:alias/latchkey\n`, { mode: 0o600 })
  const env = { DATABASE_URL, LATCHKEY_ROOT_KEYS_FILE: path }
  t.same(
    readConfig(env).rootKeys?.map((key) => key.name),
    ['2026a', 'old']
  )
  await chmod(path, 0o400)
  t.ok(readConfig(env))
  for (const mode of process.platform === 'win32' ? [] : [0o644, 0o640, 0o620, 0o604, 0o602, 0o666]) {
    await chmod(path, mode)
    t.throws(() => readConfig(env), {
      name: 'ConfigError',
      message:
        'LATCHKEY_ROOT_KEYS_FILE must name a private file: ' +
        'the file can be read or written by other users (chmod 600)'
    })
  }
  await chmod(path, 0o600)
  for (const text of ['', '# nothing', 'canary', `${KEYS}canary`]) {
    await writeFile(path, text)
    t.throws(() => readConfig(env), {
      name: 'ConfigError',
      message: /^LATCHKEY_ROOT_KEYS_FILE must (be|name) /
    })
  }
})

t.test('a value and a file of the same setting are refused together', async (t) => {
  t.throws(() => readConfig({ LATCHKEY_ROOT_KEYS: KEYS, LATCHKEY_ROOT_KEYS_FILE: '/etc/root.keys' }), {
    name: 'ConfigError',
    message: 'LATCHKEY_ROOT_KEYS and LATCHKEY_ROOT_KEYS_FILE are both set; set only one of them'
  })
  t.throws(() => readConfig({ ...VAULT, VAULT_TOKEN_FILE: '/run/token' }), {
    name: 'ConfigError',
    message: 'VAULT_TOKEN and VAULT_TOKEN_FILE are both set; set only one of them'
  })
})

t.test('a root key in Vault needs the address of Vault and a token', async (t) => {
  const right: Record<string, string>[] = [
    VAULT,
    { ...VAULT, VAULT_ADDR: 'https://example.org:8200/vault/' },
    { ...VAULT, VAULT_ADDR: 'http://127.0.0.1:8200', VAULT_NAMESPACE: 'team/keys' },
    { ...VAULT, VAULT_ADDR: 'http://[::1]:8200', VAULT_TOKEN: '', VAULT_TOKEN_FILE: '/not/there/yet' }
  ]
  for (const env of right) t.match(readConfig(env).rootKeys, [{ name: 'main' }])
  t.throws(() => readConfig({ ...VAULT, VAULT_ADDR: '' }), /^VAULT_ADDR is required/)
  t.throws(() => readConfig({ ...VAULT, VAULT_TOKEN: '' }), /^VAULT_TOKEN .*is required/)
  t.ok(readConfig({ VAULT_ADDR: 'http://for.others' }), 'ignored without such a root key')
})

t.test('an e-mail address is accepted if it can sign in', async (t) => {
  const format = fullFormats.email as RegExp
  const emails = [
    'ann@example.org',
    "o'neill+x@mail.example.org",
    'ann@localhost',
    'ann@example.org.',
    'ann@-example.org',
    'ann.@example.org',
    'ann@exa_mple.org',
    'änn@example.org',
    '"ann"@example.org',
    'ann@[127.0.0.1]'
  ]
  for (const email of emails) {
    let accepted = true
    try {
      readConfig({ LATCHKEY_ADMIN_EMAIL: email })
    } catch {
      accepted = false
    }
    t.equal(accepted, format.test(email), email)
  }
})

t.test('the configuration cannot be changed, and does not print its root keys', async (t) => {
  const config = readConfig({ DATABASE_URL, LATCHKEY_ROOT_KEYS: KEYS }) as { port: number }
  t.throws(() => {
    config.port = 1
  }, TypeError)
  t.throws(() => (readConfig({ LATCHKEY_ROOT_KEYS: KEYS }).rootKeys as unknown[]).push(1), TypeError)
  t.notMatch(JSON.stringify(config), KEYS.slice(6, 14))
})

t.test('.env.example has exactly the variables that are read', async (t) => {
  const example = await readFile(new URL('../.env.example', import.meta.url), 'utf8')
  const uncommented = parseEnv(example.replace(/^#(?=[A-Z_]+=)/gm, ''))
  const read = new Set<string | symbol>()
  const get = (env: typeof VAULT, name: string | symbol) => {
    read.add(name)
    return Reflect.get(env, name)
  }
  readConfig(new Proxy(VAULT, { get }))
  t.same(Object.keys(uncommented).sort(), [...read].sort())
  t.ok(readConfig(uncommented), 'its values are valid')
  t.same(parseEnv(example), {}, 'all lines are comments')
})
