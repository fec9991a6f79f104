import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import t from 'tap'
import { cliPage } from '../scripts/cli.ts'
import { commands } from '../src/commands/table.ts'
import { variables } from '../src/config-variables.ts'
import { MIGRATIONS, readMigrations } from '../src/db/migration-files.ts'
import { prepareKeyring } from '../src/features/keys/open-keyring.ts'
import { uuidv7 } from '../src/ids.ts'
import { parseRootKeys } from '../src/root-keys/list.ts'
import { newRootKey } from '../src/root-keys/local.ts'
import type { RootKey } from '../src/root-keys/root-key.ts'
import { startTestApp } from './helpers/app.ts'
import { runCli } from './helpers/cli.ts'
import { createTestDatabase, SERVICE_ROLE } from './helpers/database.ts'
import { newProject } from './helpers/fixtures.ts'
import { age } from './helpers/keys.ts'
import { sealAll } from './helpers/sealing.ts'

// Starts many processes in sequence.
t.setTimeout(300_000)

const latchkeyWith = (variables: Record<string, string>, ...words: string[]) => runCli(variables, words)

const latchkey = (databaseUrl: string, ...words: string[]) =>
  latchkeyWith({ DATABASE_URL: databaseUrl, LATCHKEY_ROOT_KEYS: newRootKey('cli') }, ...words)

t.test('latchkey migrate migrates an empty database, and then has nothing to do', async (t) => {
  const database = await createTestDatabase({ empty: true })
  t.teardown(database.drop)
  const [one, two] = await Promise.all([latchkey(database.url, 'migrate'), latchkey(database.url, 'migrate')])
  t.same([one.code, two.code], [0, 0])
  const ran = (out: string) => out.match(/\d{8}T\d{6}_\w+/g) ?? []
  t.same(
    [...ran(one.out), ...ran(two.out)].sort(),
    (await readMigrations([MIGRATIONS])).map(({ name }) => name),
    'two processes together run each migration once'
  )
  t.equal((await latchkey(database.url, 'migrate')).out, 'No pending migrations.\n')
})

t.test('latchkey migrate --grant-to grants a role the privileges to serve requests', async (t) => {
  const database = await createTestDatabase({ empty: true })
  t.teardown(database.drop)
  const migrate = (...words: string[]) => latchkey(database.url, 'migrate', ...words)
  const first = await migrate('--grant-to', SERVICE_ROLE)
  t.equal(first.code, 0, first.err)
  t.match(first.out, /^Ran .*\nThe role latchkey_test_service has the rights to serve requests\.\n$/)
  const again = await migrate('--grant-to', SERVICE_ROLE)
  t.match(again.out, /^No pending migrations\.\nThe role /)
  const { rows } = await sql`select has_table_privilege(${SERVICE_ROLE}, 'users', 'insert') as insert,
    has_table_privilege(${SERVICE_ROLE}, 'audit_log', 'delete') as delete`.execute(database.db)
  t.same(rows, [{ insert: true, delete: false }])
  t.match(await migrate('--grant-to', 'nobody_at_all'), {
    code: 1,
    err: 'latchkey: there is no database role "nobody_at_all"\n'
  })
  t.match(await migrate('--grant-to', 'public'), { code: 1, err: /no database role "public"/ })
  t.match(await latchkey(database.url, 'audit', 'verify', '--grant-to', 'x'), { code: 1, err: /usage: / })
})

t.test(
  'latchkey audit verify finds the first event that was changed, and export writes all events',
  async (t) => {
    const service = await startTestApp(t)
    for (let i = 0; i < 3; i++) await newProject(service.admin)
    await sealAll(service.db)
    const right = await latchkey(service.databaseUrl, 'audit', 'verify')
    t.equal(right.code, 0, right.err)
    const head = (await service.admin.get('/api/v1/audit-events/head')).json
    t.match(right.out, `Head: ${head.position} ${head.hash}`)

    const exported = await latchkey(service.databaseUrl, 'audit', 'export')
    const events = exported.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    t.equal(events.length, head.position)
    t.match(events.at(-1), { action: 'project.created', position: head.position, hash: head.hash })

    await sql`insert into audit_log (id, action, outcome, actor_type, fold_key)
      values (${uuidv7()}, 'test.new', 'denied', 'system', 'counted for two minutes')`.execute(service.db)
    const more = await latchkey(service.databaseUrl, 'audit', 'export')
    const lines = more.out.trim().split('\n')
    t.equal(lines.length, events.length + 1)
    t.match(JSON.parse(lines.at(-1)!), { action: 'test.new', position: null, hash: null }, 'not sealed')

    const tamper = (statement: ReturnType<typeof sql>) =>
      service.db.transaction().execute(async (trx) => {
        await sql`set local session_replication_role = replica`.execute(trx)
        await statement.execute(trx)
      })
    await tamper(sql`delete from audit_unsealed`)
    const added = await latchkey(service.databaseUrl, 'audit', 'verify')
    t.equal(added.code, 1)
    t.match(
      added.err,
      /^latchkey: event [0-9a-f-]{36} was added and is not in the hash chain; \d+ events .* are intact/
    )

    await tamper(sql`update audit_log set outcome = 'denied'
      where id = (select event_id from audit_links where position = 2)`)
    const broken = await latchkey(service.databaseUrl, 'audit', 'verify')
    t.equal(broken.code, 1)
    t.match(broken.err, /^latchkey: event [0-9a-f-]{36} at position 2 of the hash chain was changed/)
  }
)

t.test('latchkey keys shows, rotates and destroys data keys', async (t) => {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const rootKeys = newRootKey('cli')
  const env = { DATABASE_URL: database.url, LATCHKEY_ROOT_KEYS: rootKeys }
  const keys = (...words: string[]) => latchkeyWith(env, 'keys', ...words)
  await prepareKeyring(database.db, parseRootKeys(rootKeys))

  const rotated = await keys('rotate')
  t.equal(rotated.code, 0, rotated.err)
  t.match(rotated.out, /^Data key 2 is current\./)
  const { keys: rows, reencryption } = JSON.parse((await keys('status', '--json')).out)
  const [{ fingerprint }] = parseRootKeys(rootKeys) as [RootKey]
  t.match(rows, [
    { number: 1, state: 'retired', retiredAt: /Z$/, values: 0, answers: 0, rootKeyFingerprint: fingerprint },
    { number: 2, state: 'current', retiredAt: null, ageDays: 0, rootKeyFingerprint: fingerprint }
  ])
  t.same(reencryption, { done: 0, total: 0 })
  const table = (await keys('status')).out.split('\n')
  t.match(table[0], /^data key +state +age +retired at +values +answers +root key$/)
  t.match(table[2], new RegExp(`^2 +current +0 d +- +0 +0 +${fingerprint}$`))

  const early = await keys('destroy', '1')
  t.match(
    [early.code, early.err],
    [1, /^latchkey: data key 1 was not destroyed: it was retired less than 60/]
  )
  t.match(await keys('destroy', '2'), { code: 1, err: /it is the current one/ })
  await age(database, 1, 1)
  const destroyed = await keys('destroy', '1')
  t.same([destroyed.code, destroyed.out], [0, 'Data key 1 is destroyed.\n'])
  const wrong = [['destroy'], ['destroy', 'x'], ['destroy', '1', '2'], ['status', '--xml'], ['rotate', 'now']]
  const answers = await Promise.all(wrong.map((words) => keys(...words)))
  t.same(
    answers.map(({ code }) => code),
    wrong.map(() => 1)
  )

  const other = await latchkey(database.url, 'keys', 'rotate')
  t.equal(other.code, 1)
  t.match(other.err, /^latchkey: the root key \w+ encrypts the data keys, but/)
  t.match(other.err, fingerprint)
})

const COMMANDS = Object.keys(commands)

t.test('an unknown command fails and lists the known ones', async (t) => {
  const { code, out, err } = await latchkey('postgresql://nobody@localhost/none', 'nonsense')
  t.same([code, out], [1, ''])
  t.match(err, /^latchkey: unknown command "nonsense"/)
  for (const command of COMMANDS) t.match(err, command)
  const { err: group } = await latchkey('postgresql://nobody@localhost/none', 'users', 'nonsense')
  t.match(group, /^latchkey: unknown command "users nonsense"; the commands are:\n {2}users list/)
  t.notMatch(group, 'keys status')
  const none = await latchkeyWith({})
  t.equal(none.code, 1)
  t.match(none.err, /^latchkey: a command is required/)
  for (const command of COMMANDS) t.match(none.err, command)
})

t.test('help and version need no configuration and succeed', async (t) => {
  const { version } = JSON.parse(await readFile(join(import.meta.dirname, '../package.json'), 'utf8'))
  // An invalid variable, which every other command would refuse.
  const run = (...words: string[]) => latchkeyWith({ PORT: 'none' }, ...words)
  t.same(await run('--version'), { code: 0, out: `${version}\n`, err: '' })
  const [help, short, group] = await Promise.all([run('--help'), run('-h'), run('keys', '--help')])
  t.same([help.code, help.err, short.out], [0, '', help.out])
  for (const command of COMMANDS) t.match(help.out, command)
  for (const { name } of variables) t.match(help.out, `  ${name} `)
  t.equal(group.code, 0)
  t.same(
    [...group.out.matchAll(/^ {2}keys (\w+)/gm)].map(([, word]) => word),
    ['status', 'rotate', 'destroy']
  )
  const each = await Promise.all(COMMANDS.map((command) => run(...command.split(' '), '--help')))
  for (const [index, { code, out, err }] of each.entries()) {
    const command = COMMANDS[index]!
    t.same([code, err], [0, ''], command)
    t.match(out, new RegExp(`^Usage: latchkey ${command}`), command)
  }
  t.match(await run('nonsense', '--help'), { code: 1, err: /unknown command "nonsense"/ })
  t.same(await run('help'), help)
  t.same(await run('help', 'keys'), group)
  t.same(await run('help', 'users', 'create'), await run('users', 'create', '--help'))
  t.match(await run('help', 'nonsense'), { code: 1, err: /unknown command "nonsense"/ })
  t.match(await run('migrate', '--json'), {
    code: 1,
    out: '',
    err: 'latchkey: usage: latchkey migrate [--grant-to <role>]\n'
  })
  t.match(await run('start', '--port', '8081'), {
    code: 1,
    out: '',
    err: `latchkey: unknown option '--port'; "latchkey <command> --help" lists the options of a command\n`
  })
})

t.test('docs/reference/cli.md is current', async (t) => {
  const page = await readFile(join(import.meta.dirname, '../docs/reference/cli.md'), 'utf8')
  t.equal(page, cliPage(), 'run `npm run cli`, read the diff')
  for (const [name, { example }] of Object.entries(commands)) {
    t.ok(example.startsWith(`latchkey ${name}`), example)
    t.ok(page.includes(`## latchkey ${name}\n`), name)
  }
})
