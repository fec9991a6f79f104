import { resolve } from 'node:path'
import * as format from './config-formats.ts'
import { DEFAULT_CONNECTIONS } from './db/uses.ts'

/** An environment variable. `latchkey --help` and docs/operations/configuration.md show it. */
export interface Variable<T> {
  readonly name: string
  readonly format: format.Format<T>
  readonly fallback: T
  /** One line. */
  readonly summary: string
  /** What the page adds, in Markdown. */
  readonly details?: string
  /** The default in words, if `fallback` does not show it. */
  readonly defaultText?: string
  /** The value can be in a file instead, which the variable NAME_FILE names. */
  readonly isSecret?: true
}

type Texts = Pick<Variable<unknown>, 'summary' | 'details' | 'defaultText'>

function variable<T>(name: string, form: format.Format<T>, fallback: T, texts: Texts): Variable<T> {
  return { name, format: form, fallback, ...texts }
}

function optional<T>(name: string, form: format.Format<T>, texts: Texts): Variable<T | undefined> {
  return { name, format: form, fallback: undefined, ...texts }
}

function secret<T>(name: string, form: format.Format<T>, texts: Texts): Variable<T | undefined> {
  return { ...optional(name, form, texts), isSecret: true }
}

/** The variable that names the file of a secret. */
export function fileVariable({ name }: Variable<unknown>): Variable<string | undefined> {
  return optional(`${name}_FILE`, format.filePath, { summary: `private file that contains ${name}` })
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']

const days = (meaning: string) => format.integer(0, 3_650, `a whole number of days from ${meaning} to 3650`)

const requestsPerMinute = format.integer(0, 10_000_000, 'a whole number from 0 (no limit) to 10000000')

export const database = {
  databaseUrl: secret('DATABASE_URL', format.databaseUrl, {
    summary: 'Postgres database to use',
    defaultText: 'the embedded Postgres',
    details: `Postgres 15 or later; the database must have the encoding UTF8. The URL may list
[several hosts](database.md#several-hosts). With \`DATABASE_URL\` you must also set \`LATCHKEY_ROOT_KEYS\`
and, for the first start on an empty database, \`LATCHKEY_ADMIN_EMAIL\` and \`LATCHKEY_ADMIN_PASSWORD\`. In
a password, write \`/\`, \`?\`, \`#\`, \`@\` and \`%\` as \`%2F\`, \`%3F\`, \`%23\`, \`%40\` and \`%25\`.`
  }),
  migrationDatabaseUrl: secret('LATCHKEY_MIGRATION_DATABASE_URL', format.databaseUrl, {
    summary: 'the same database, as the role that owns the tables and migrates them',
    defaultText: 'the role in `DATABASE_URL`',
    details: `At each start, migrations run as this role, and the role in \`DATABASE_URL\` is granted only the
rights that requests need: see [database roles](database-roles.md). It requires \`DATABASE_URL\`.`
  }),
  databaseConnections: variable(
    'LATCHKEY_DATABASE_CONNECTIONS',
    format.integer(4, 1_000, 'a whole number from 4 to 1000'),
    DEFAULT_CONNECTIONS,
    {
      summary: 'maximum number of connections from a replica to Postgres',
      details: '[How many connections](database.md#how-many-connections) explains how to choose it.'
    }
  ),
  dataDirectory: variable('LATCHKEY_DATA_DIR', format.directoryPath, resolve('data'), {
    summary: 'directory of the embedded Postgres, its root key and the first password',
    defaultText: '`./data`',
    details: `The service creates it with mode 0700. If you start the service as root and Postgres cannot run
in this directory, the database is in another one: each start prints its path, and the file
\`postgres.location\` contains it. Used only without \`DATABASE_URL\`.`
  }),
  cell: optional('LATCHKEY_CELL', format.cell, {
    summary: 'name of this cell, if several installations share an address',
    defaultText: 'none',
    details: `New sessions and tokens contain the name, such as \`lk_pat_eu1_…\`, so that a router can find
the cell: see [growing](growing.md). Set it only when no replica runs version 1.0.0.`
  })
}

export const rootKeys = {
  list: secret('LATCHKEY_ROOT_KEYS', format.listOfKeys, {
    summary: 'root keys, as name:key[,name:key…]; the first encrypts data keys',
    defaultText: 'a key that the first start creates in the data directory',
    details: `The first key encrypts data keys. The others can only decrypt them, which you need while you
[rotate the root key](keys.md#rotate-the-root-key). A name has 1 to 64 letters, digits and \`.\`, \`_\` or
\`-\`. A key is one of:

- 32 random bytes in base64 (\`openssl rand -base64 32\`)
- \`aws-kms:<key id, alias or ARN>\`, a symmetric key in [AWS KMS](#aws-kms)
- \`vault-transit:[<mount>/]<key>\`, a key of the transit engine of Vault or OpenBao; the default mount is
  \`transit\`

A file (\`LATCHKEY_ROOT_KEYS_FILE\`) may have one entry per line, and comments that start with \`#\`.`
  })
}

/** Read only if a root key is in Vault. The token's file is not read here: an agent renews it. */
export const vault = {
  address: optional('VAULT_ADDR', format.vaultAddress, {
    summary: 'address of Vault or OpenBao, if a root key is in it',
    defaultText: 'none',
    details: 'Without TLS, only an address of this machine is accepted, such as that of an agent.'
  }),
  token: optional('VAULT_TOKEN', format.vaultToken, {
    summary: 'token for Vault',
    defaultText: 'none',
    details: 'Set this or `VAULT_TOKEN_FILE`.'
  }),
  tokenFile: optional('VAULT_TOKEN_FILE', format.filePath, {
    summary: 'file that contains the token for Vault, read at each use',
    defaultText: 'none',
    details: 'Use it with an agent that renews the token. The permissions of this file are not checked.'
  }),
  namespace: optional('VAULT_NAMESPACE', format.vaultNamespace, {
    summary: 'namespace in Vault',
    defaultText: 'none'
  })
}

export const administrator = {
  adminEmail: optional('LATCHKEY_ADMIN_EMAIL', format.email, {
    summary: 'e-mail address of the first administrator',
    defaultText: '`admin@latchkey.local` on the embedded Postgres, else none',
    details: `The first administrator is created only while the database has no user. Later, this variable and
the password have no effect: use [\`latchkey users\`](users.md).`
  }),
  adminPassword: secret('LATCHKEY_ADMIN_PASSWORD', format.password, {
    summary: 'password of the first administrator',
    defaultText: 'on the embedded Postgres, a password that the first start creates and prints, else none'
  })
}

export const listening = {
  host: variable('HOST', format.host, '127.0.0.1', {
    summary: 'address to listen on',
    details: '`0.0.0.0` listens on all IPv4 addresses of the machine, `::` also on all IPv6 addresses.'
  }),
  port: variable('PORT', format.port, 8080, { summary: 'port to listen on; 0 takes a free one' }),
  publicOrigin: optional('PUBLIC_URL', format.origin, {
    summary: 'origin of the service as browsers see it',
    defaultText: 'the `Host` header of each request',
    details: `Set it behind a [reverse proxy](reverse-proxy.md). With an \`https:\` origin, the session
cookie is \`Secure\` and named \`__Host-latchkey_session\`, and responses have
\`Strict-Transport-Security\`.`
  }),
  trustProxy: variable('TRUST_PROXY', format.trustedProxies, false, {
    summary: 'proxies whose X-Forwarded-* headers are trusted',
    details: `\`true\` trusts every client, so use it only if all requests pass through your proxy. Otherwise
name the number of proxies, or their IP addresses and ranges, such as \`10.0.0.0/8,::1\`. The address of a
client is recorded in the audit log and used for rate limits. See [reverse proxies](reverse-proxy.md).`
  }),
  corsOrigins: variable('CORS_ORIGINS', format.origins, [], {
    summary: 'origins of other pages that may call the API with the session cookie',
    defaultText: 'none',
    details: 'For example `https://app.example.org,http://localhost:3000`. `*` is not accepted.'
  }),
  logLevel: variable('LOG_LEVEL', format.oneOf(LOG_LEVELS), 'info', {
    summary: `lowest level to log: ${LOG_LEVELS.slice(0, -1).join(', ')} or ${LOG_LEVELS.at(-1)}`,
    details: 'The service logs to standard output, one line of JSON per entry.'
  })
}

export const sessions = {
  sessionIdleMinutes: variable(
    'LATCHKEY_SESSION_IDLE_MINUTES',
    format.integer(1, 10_080, 'a whole number of minutes from 1 to 10080'),
    30,
    { summary: 'minutes without a request after which a session ends' }
  ),
  sessionMaxHours: variable(
    'LATCHKEY_SESSION_MAX_HOURS',
    format.integer(1, 720, 'a whole number of hours from 1 to 720'),
    12,
    { summary: 'hours after sign-in at which a session ends, even if it is in use' }
  )
}

export const limits = {
  callerRequestsPerMinute: variable('LATCHKEY_CALLER_REQUESTS_PER_MINUTE', requestsPerMinute, 12_000, {
    summary: 'requests per minute by one user or one project token; 0: no limit',
    details: 'All sessions and personal tokens of a user count together. Each replica counts separately.'
  }),
  addressRequestsPerMinute: variable('LATCHKEY_ADDRESS_REQUESTS_PER_MINUTE', requestsPerMinute, 1_200, {
    summary: 'requests per minute from one address without a valid session or token; 0: no limit',
    details: 'An IPv6 address counts as its /64 network. Each replica counts separately.'
  })
}

export const keyRotation = {
  dataKeyMaxDays: variable('LATCHKEY_DATA_KEY_MAX_DAYS', days('0 (never)'), 90, {
    summary: 'days after which the service rotates the data key; 0: only by "keys rotate"',
    details: 'See [rotate the data key](keys.md#rotate-the-data-key).'
  }),
  dataKeyKeepDays: variable('LATCHKEY_DATA_KEY_KEEP_DAYS', days('0'), 30, {
    summary: 'days to keep a retired data key that no longer encrypts anything'
  })
}

export const audit = {
  auditKeepDays: optional(
    'LATCHKEY_AUDIT_KEEP_DAYS',
    format.integer(1, 36_500, 'a whole number of days from 1 to 36500'),
    {
      summary: 'days after which "audit archive" moves events from the database to files',
      defaultText: 'events stay in the database',
      details: 'Nothing is removed until you run [`latchkey audit archive`](audit-log.md).'
    }
  )
}

export const metrics = {
  metricsPort: optional('METRICS_PORT', format.port, {
    summary: 'port that serves GET /metrics for Prometheus; 0 takes a free one',
    defaultText: 'no metrics',
    details: 'Reading the metrics requires no sign-in. See [monitoring](monitoring.md).'
  }),
  metricsHost: variable('METRICS_HOST', format.host, '127.0.0.1', {
    summary: 'address to serve the metrics on',
    details: 'Choose an address that only your monitoring can reach.'
  })
}

/** The page that describes the variables, in the repository. */
export const PAGE = 'docs/operations/configuration.md'

/** All groups, for help and documentation. */
export const groups: readonly { title: string; variables: readonly Variable<unknown>[] }[] = [
  { title: 'Database', variables: Object.values(database) },
  { title: 'Root keys', variables: [...Object.values(rootKeys), ...Object.values<Variable<unknown>>(vault)] },
  { title: 'First administrator', variables: Object.values(administrator) },
  { title: 'Listening and proxies', variables: Object.values<Variable<unknown>>(listening) },
  { title: 'Sessions', variables: Object.values(sessions) },
  { title: 'Rate limits', variables: Object.values(limits) },
  { title: 'Rotation of data keys', variables: Object.values(keyRotation) },
  { title: 'Audit log', variables: Object.values(audit) },
  { title: 'Metrics', variables: Object.values<Variable<unknown>>(metrics) }
]

/** All variables, each secret with that of its file. */
export const variables: readonly Variable<unknown>[] = groups
  .flatMap((group) => group.variables)
  .flatMap((one) => (one.isSecret ? [one, fileVariable(one)] : [one]))
