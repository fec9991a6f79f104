import { randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import t from 'tap'
import { hashPassword } from '../../src/crypto/passwords.ts'
import type { Database } from '../../src/db/database.ts'
import { migrate } from '../../src/db/migrate.ts'
import { cleanName, foldName } from '../../src/names.ts'
import { newRootKey } from '../../src/root-keys/local.ts'
import { startTestApp } from '../helpers/app.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { newCredentialBody, newType } from '../helpers/fixtures.ts'
import { startProcess } from '../helpers/process.ts'

const MIGRATION = '20261128T080000_folded_names'
const folder = join(import.meta.dirname, '../../migrations')

/** Runs the migrations before `MIGRATION`. */
async function migrateBefore(db: Database): Promise<void> {
  const names = (await readdir(folder))
    .map((file) => file.replace(/\.ts$/, ''))
    .filter((name) => name < MIGRATION)
  const getMigrations = async () =>
    Object.fromEntries(
      await Promise.all(
        names.map(async (name): Promise<[string, Migration]> => {
          return [name, await import(pathToFileURL(join(folder, `${name}.ts`)).href)]
        })
      )
    )
  const { error } = await new Migrator({ db, provider: { getMigrations } }).migrateToLatest()
  if (error) throw error
}

const [ann, bob, raw] = [randomUUID(), randomUUID(), randomUUID()]
const PASSWORD = 'correct horse battery'
let second = 0
const later = () => new Date(Date.UTC(2026, 0, 1, 0, 0, second++))

async function insertUser(db: Database, id: string, email: string, name: string): Promise<void> {
  await sql`insert into users (id, email, name, password_hash, role, created_at)
    values (${id}, ${email}, ${name}, ${await hashPassword(PASSWORD)}, 'admin', ${later()})`.execute(db)
}

async function insertType(db: Database, id: string, name: string, owner: string | null): Promise<void> {
  await sql`insert into credential_types (id, type_name, owner_id, created_at)
    values (${id}, ${name}, ${owner}, ${later()})`.execute(db)
}

async function insertCredential(db: Database, owner: string, name: string): Promise<string> {
  const id = randomUUID()
  await sql`insert into credentials (id, owner_id, type_id, name, created_at)
    values (${id}, ${owner}, ${raw}, ${name}, ${later()})`.execute(db)
  await sql`insert into credential_environments (credential_id, name) values (${id}, 'main')`.execute(db)
  return id
}

/** Names before the migration, in the order of their creation, and after it. */
const CREDENTIALS: [string, string][] = [
  ['Mail', 'Mail'],
  ['MAIL ', 'MAIL (4)'],
  ['Mail (2)', 'Mail (2)'],
  ['ma\u200bil', 'mail (3)'],
  ['Caf\u00e9', 'Caf\u00e9'],
  ['Cafe\u0301', 'Caf\u00e9 (2)'],
  ['Straße', 'Straße'],
  ['STRASSE', 'STRASSE (2)'],
  ['\u200b\u2060', 'Unnamed'],
  ['\u3164', 'Unnamed (2)'],
  [' \u202eabc ', 'abc'],
  ['de\u2028f\u2800', 'de f'],
  ['❤️ 👩‍💻', '❤️ 👩‍💻'],
  ['x'.repeat(199), 'x'.repeat(199)],
  [`${'x'.repeat(199)} `, `${'x'.repeat(196)} (2)`],
  [`Q${'\u0344'.repeat(150)}`, `Q${'\u0308\u0301'.repeat(99)}\u0308`],
  ['  plain  name  ', 'plain  name'],
  ['INFO I', 'INFO I'],
  ['info i', 'info i (2)']
]

t.test('names and addresses that become equal are renamed', async (t) => {
  const lines: string[] = []
  const ids: string[] = []
  const service = await startTestApp(
    t,
    {},
    {
      locale: "locale_provider icu icu_locale 'tr-TR' locale 'C' encoding 'UTF8'",
      async fill(db) {
        await migrateBefore(db)
        await insertUser(db, ann, 'admin@example.org', ' Ann\u200b ')
        await insertUser(db, bob, 'INFO.I@example.org', 'Bob')
        await insertUser(db, randomUUID(), 'info.i@example.org', 'Other')
        await insertType(db, raw, 'old', ann)
        for (const name of ['zz', 'zz ', ' ZZ', 'k ']) await insertType(db, randomUUID(), name, bob)
        await insertType(db, randomUUID(), 'k', null)
        for (const [name] of CREDENTIALS) ids.push(await insertCredential(db, ann, name))
        await insertCredential(db, bob, 'mail')
        const project = randomUUID()
        await sql`insert into projects (id, name) values (${project}, ' P\u0301 ')`.execute(db)
        await sql`insert into project_members values (${project}, ${ann}, 'owner')`.execute(db)
        await sql`insert into access_tokens (id, token_hash, name, scopes, user_id)
          values (${randomUUID()}, sha256('x'), 'token\u202e', '{credentials:read}', ${ann})`.execute(db)
        await migrate(db, { notice: (line) => lines.push(line) })
      }
    }
  )
  const { admin } = service

  t.test('over HTTP', async (t) => {
    const list = (await admin.get('/api/v1/app-credentials?pageSize=100')).json.data
    const byId = new Map(list.map((one: { id: string }) => [one.id, one]))
    for (const [index, [before, after]] of CREDENTIALS.entries()) {
      const { credentialName, revision } = byId.get(ids[index]!) as {
        credentialName: string
        revision: number
      }
      t.equal(credentialName, after, `name ${index}`)
      t.equal(
        revision,
        before === after ? 1 : 2 + Number(/\(\d\)$/.test(after) && cleanedFirst(before, after))
      )
    }
    t.equal((await admin.get('/api/v1/app-credentials?search=MAIL')).json.total, 4)
    const type = await newType(admin)
    for (const name of ['mail', 'MAIL (3)', 'unnamed'])
      t.match(
        (await admin.post('/api/v1/app-credentials', newCredentialBody(type, { credentialName: name }))).json,
        { code: 'name-taken' },
        name
      )
    const names = (await admin.get('/api/v1/credential-types?pageSize=100')).json.data
      .map((one: { typeName: string }) => one.typeName)
      .filter((name: string) => /^(zz|k\b)/i.test(name))
    t.same(names.sort(), ['ZZ (3)', 'k', 'k (2)', 'zz', 'zz (2)'].sort())
    t.match((await admin.get('/api/v1/projects?search=p')).json, { total: 0 })
    t.match((await admin.get('/api/v1/projects?search=P\u0301')).json.data, [{ name: '\u1e54' }])
    t.match((await admin.get('/api/v1/access-tokens')).json.data, [{ name: 'token' }])
    t.equal((await admin.get('/api/v1/session')).json.user.name, 'Ann')
    for (const [email, name] of [
      ['info.i@example.org', 'Bob'],
      ['INFO.I@example.org', 'Bob'],
      ['info.i+2@example.org', 'Other']
    ]) {
      const answer = await service.anonymous().signIn({ email: email!, password: PASSWORD })
      t.equal(answer.json.user.name, name, email!)
    }
  })

  t.test('each rename is reported, and is in the audit log', async (t) => {
    for (const [index, name] of [
      [8, 'Unnamed'],
      [9, 'Unnamed'],
      [15, `Q${'\u0308\u0301'.repeat(99)}\u0308`]
    ] as const) {
      const line = `The credential ${ids[index]} had a name that is not allowed; it is now "${name}".`
      t.ok(lines.includes(line), line)
    }
    const line = `The credential ${ids[1]} has the name of an older one, "MAIL"; it is now "MAIL (4)".`
    t.ok(lines.includes(line), line)
    t.ok(
      lines.some((one) =>
        /^The user \S+ has the e-mail address .* is now info\.i\+2@example\.org\.$/.test(one)
      )
    )
    t.equal(lines.filter((one) => / has the name of an older one/.test(one)).length, 7 + 3)
    const events = (await admin.get('/api/v1/audit-events?action=credential.updated')).json.data
    t.match(
      events.find((one: { target: { id: string } }) => one.target.id === ids[1]),
      { actor: { type: 'system' }, target: { name: 'MAIL (4)' }, details: { reason: 'folded-names' } }
    )
  })

  t.test('stored names have the form of new names', async (t) => {
    const { db } = service
    const stored = [
      ...(await db.selectFrom('credentials').select(['name', 'name_key']).execute()),
      ...(await db.selectFrom('credential_types').select(['type_name as name', 'name_key']).execute()),
      ...(await db.selectFrom('projects').select(['name', 'name_key']).execute()),
      ...(await db.selectFrom('users').select(['name', 'name_key']).execute())
    ]
    t.ok(stored.length > 40, `${stored.length} names`)
    for (const { name, name_key } of stored) {
      t.same(cleanName(name), { text: name })
      t.equal(name_key, foldName(name))
    }
  })
})

/** True if a name was first cleaned and then renamed, which are two changes. */
const cleanedFirst = (before: string, after: string) => {
  const base = after.replace(/ \(\d\)$/, '')
  return before !== base
}

t.test('the service and latchkey migrate print each rename', async (t) => {
  for (const program of ['main.js', 'cli.ts']) {
    const { db, url, drop } = await createTestDatabase({ empty: true })
    t.teardown(drop)
    await migrateBefore(db)
    await insertUser(db, ann, 'admin@example.org', 'Ann')
    await insertType(db, raw, 'old', ann)
    await insertCredential(db, ann, 'Mail')
    const id = await insertCredential(db, ann, 'mail ')
    const line = `The credential ${id} has the name of an older one, "mail"; it is now "mail (2)".`
    const env = { DATABASE_URL: url, LATCHKEY_ROOT_KEYS: newRootKey('test') }
    const words = program === 'cli.ts' ? ['migrate'] : []
    const running = startProcess(t, t.testdir(), env, [
      join(import.meta.dirname, '../../src', program),
      ...words
    ])
    await running.printed(line)
    if (program === 'cli.ts') t.equal(await running.exited, 0)
    else {
      await running.printed('istening')
      running.child.kill('SIGTERM')
      await running.exited
    }
  }
})

t.test('a large table is folded in batches', async (t) => {
  const { db, drop } = await createTestDatabase({ empty: true })
  t.teardown(drop)
  await migrateBefore(db)
  await insertUser(db, ann, 'admin@example.org', 'Ann')
  await insertType(db, raw, 'old', ann)
  const COUNT = 12_000
  for (const name of ['Pläin', 'Pla\u0308in', 'plain'])
    await sql`insert into credentials (id, owner_id, type_id, name, created_at)
      select gen_random_uuid(), ${ann}::uuid, ${raw}::uuid, ${name}::text || ' ' || i, ${later()}
      from generate_series(1, ${COUNT}::int) i`.execute(db)
  const lines: string[] = []
  await migrate(db, { notice: (line) => lines.push(line) })
  t.equal(lines.length, COUNT)
  const { rows } = await sql<{ name: string; count: number }>`
    select regexp_replace(name, '\\d+', '#') as name, count(*)
    from credentials group by 1 order by 1`.execute(db)
  t.same(rows, [
    { name: 'Pläin #', count: COUNT },
    { name: 'Pläin # (2)', count: COUNT },
    { name: 'plain #', count: COUNT }
  ])
})
