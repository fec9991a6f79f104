import { readFile } from 'node:fs/promises'
import t from 'tap'
import { parse } from 'yaml'
import { variables as settings } from '../src/config-variables.ts'

const read = (path: string) => readFile(new URL(`../${path}`, import.meta.url), 'utf8')

interface Service {
  image: string
  user?: string
  environment: Record<string, string | null>
  ports?: string[]
  volumes?: string[]
  healthcheck?: { test: string[] }
  depends_on?: Record<string, { condition: string }>
  read_only: boolean
  cap_drop: string[]
  security_opt: string[]
  privileged?: boolean
  cap_add?: string[]
  mem_limit?: string
  pids_limit?: number
}

interface Compose {
  services: Record<'latchkey' | 'postgres', Service>
  volumes: Record<string, null>
}

const compose = parse(await read('docker-compose.yml')) as Compose
const { latchkey, postgres } = compose.services

const text = await read('docker-compose.yml')

t.test('no secret has a default', async (t) => {
  const variables = text.replace(/^\s*#.*$/gm, '').match(/\$+(\{[^}]*\}|\w+)/g) ?? []
  t.ok(variables.length >= 5, 'the file uses variables')
  const noSecrets = [`\${LATCHKEY_PORT:-8080}`, `\${METRICS_HOST:-0.0.0.0}`, `\${POSTGRES_MEMORY:-2g}`]
  for (const variable of variables)
    if (!noSecrets.includes(variable) && !/^\$\{[A-Z_]+_FILE-\}$/.test(variable))
      t.match(variable, /^\$\{[A-Z_]+:?\?[^}]+\}$/, variable)

  const { environment } = latchkey
  const url = (role: string, password: string) =>
    new RegExp(`^postgres://${role}:\\$\\{${password}\\?[^}]+\\}@postgres:5432/latchkey$`)
  t.match(environment['DATABASE_URL'], url('latchkey_service', 'POSTGRES_SERVICE_PASSWORD'))
  t.match(environment['LATCHKEY_MIGRATION_DATABASE_URL'], url('latchkey', 'POSTGRES_PASSWORD'))
  t.match(environment['LATCHKEY_ADMIN_EMAIL'], /^\$\{LATCHKEY_ADMIN_EMAIL:\?/)
  // Without a colon: the variable must be set, but may be empty if the secret is in a file.
  for (const name of ['LATCHKEY_ROOT_KEYS', 'LATCHKEY_ADMIN_PASSWORD'])
    t.ok(environment[name]?.startsWith(`\${${name}?`), name)
  for (const name of ['POSTGRES_PASSWORD', 'POSTGRES_SERVICE_PASSWORD'])
    t.ok(postgres.environment[name]?.startsWith(`\${${name}?`), name)
  t.equal(postgres.environment['POSTGRES_HOST_AUTH_METHOD'], undefined, 'no trust authentication')
})

t.test('docker-compose.yml passes every setting to the service', async (t) => {
  // The image sets HOST and PORT, and has no embedded database.
  const without = ['HOST', 'PORT', 'LATCHKEY_DATA_DIR']
  const aws = [...(await read('docs/operations/configuration.md')).matchAll(/`(AWS_[A-Z_]+)`/g)].map(
    ([, name = '']) => name
  )
  t.ok(aws.length > 4, `${aws.length} variables of AWS`)
  const names = [...settings.map(({ name }) => name), ...aws]
  t.ok(names.length > 24, `${names.length} settings`)
  t.strictSame(
    names.filter((name) => !Object.hasOwn(latchkey.environment, name)).sort(),
    without.sort(),
    'add it to docker-compose.yml'
  )
})

t.test('every secret can be in a file', async (t) => {
  const secrets = parse(await read('docker/secrets.yml')) as Compose
  const withFile = settings.filter(({ isSecret }) => isSecret).map(({ name }) => name)
  for (const [name, variables] of [
    ['latchkey', withFile],
    ['postgres', ['POSTGRES_PASSWORD', 'POSTGRES_SERVICE_PASSWORD']]
  ] as const) {
    const { environment, volumes } = secrets.services[name]
    t.same(Object.keys(environment).sort(), variables.flatMap((one) => [one, `${one}_FILE`]).sort())
    for (const variable of variables) {
      t.equal(environment[variable], '', 'overrides the value of docker-compose.yml')
      t.match(environment[`${variable}_FILE`], /^\/run\/secrets\/[a-z_]+$/)
    }
    t.same(volumes, [`\${LATCHKEY_SECRETS_DIR:-./secrets}/${name}:/run/secrets:ro`], 'only its own secrets')
  }
  t.match(await read('.gitignore'), /^secrets\/$/m)
})

t.test('both containers have only the privileges that they need', async (t) => {
  for (const [name, service] of Object.entries(compose.services)) {
    t.equal(service.read_only, true, `${name}: read-only root`)
    t.strictSame(service.cap_drop, ['ALL'], `${name}: no capabilities`)
    t.strictSame(service.security_opt, ['no-new-privileges:true'], name)
    t.notOk(service.cap_add ?? service.privileged, `${name}: no capability added`)
  }
  t.strictSame(latchkey.ports, [`127.0.0.1:\${LATCHKEY_PORT:-8080}:8080`], 'only on this machine')
  t.equal(postgres.ports, undefined, 'the database has no public port')
  for (const { mem_limit, pids_limit } of [latchkey, postgres]) t.ok(mem_limit && pids_limit, 'limits')
  t.equal(postgres.user, 'postgres')
  t.notOk(latchkey.user, 'the image sets the user')
})

t.test('the service waits for its database, which has a persistent volume', async (t) => {
  t.strictSame(latchkey.depends_on, { postgres: { condition: 'service_healthy' } })
  t.match(postgres.healthcheck?.test, ['CMD', 'pg_isready', '--host=127.0.0.1'])
  t.equal(postgres.image, 'postgres:18')
  t.ok(
    postgres.volumes?.includes('postgres:/var/lib/postgresql'),
    'the data directory of version 18 and later'
  )
  t.strictSame(Object.keys(compose.volumes), ['postgres'])
  t.match(postgres.environment.POSTGRES_INITDB_ARGS, /--locale-provider=builtin --builtin-locale=C\.UTF-8/)
})

t.test('neither role of the service is a superuser, and one of them owns nothing', async (t) => {
  const mounted = postgres.volumes?.find((volume) => volume.includes('/docker-entrypoint-initdb.d/')) ?? ''
  t.ok(mounted.endsWith(':ro'), mounted)
  const sql = await read(mounted.split(':')[0]!)
  t.match(sql, /^create role latchkey login password :'password';$/m)
  t.match(sql, /^create role latchkey_service login password :'service_password';$/m)
  t.match(sql, /^create database latchkey owner latchkey;$/m)
  t.match(sql, /^alter role postgres password null;$/m)
  t.notMatch(sql.replace(/^--.*$/gm, ''), /superuser|createrole|createdb|bypassrls|replication/i)
})
