import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { newRootKey } from '../../src/root-keys/local.ts'
import { startTestApp } from '../helpers/app.ts'
import { runCli } from '../helpers/cli.ts'
import { createTestDatabase } from '../helpers/database.ts'

const cli = join(import.meta.dirname, '../../src/cli.ts')

// Starts many processes in sequence.
t.setTimeout(300_000)

async function started(t: Test) {
  const service = await startTestApp(t)
  const env = { DATABASE_URL: service.databaseUrl, LATCHKEY_ROOT_KEYS: newRootKey('cli') }
  const users = (words: string[], input: string | Uint8Array = '') =>
    runCli(env, ['users', ...words], { input })
  const statusOf = async (email: string, password: string) =>
    (await service.anonymous().post('/api/v1/session', { email, password })).status
  return { service, users, statusOf }
}

/** Runs `latchkey` with `words`, which may contain pipes and redirections, in a shell with pipefail. */
async function shell(databaseUrl: string, words: string) {
  const env = { ...process.env, DATABASE_URL: databaseUrl, LATCHKEY_ROOT_KEYS: newRootKey('cli') }
  const line = `set -o pipefail; "$0" "$1" ${words}`
  const child = spawn('bash', ['-c', line, process.execPath, cli], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code, out, err }
}

const passwordIn = (out: string) => /^Password: (\S{24})$/m.exec(out)?.[1] ?? ''

t.test('users create prints a password that works for sign-in', async (t) => {
  const { service, users, statusOf } = await started(t)
  const made = await users(['create', 'Ann@Example.org'])
  t.match(made, { code: 0, err: '', out: /^Created the user Ann@Example\.org\.\nPassword: \S{24}\n$/ })
  t.equal(await statusOf('ann@example.org', passwordIn(made.out)), 200)
  const admin = await users(['create', 'second@example.org', '--admin', '--name', 'The Second'])
  t.match(admin, { code: 0, out: /^Created the administrator second@example\.org\.\nPassword: / })

  const list = await users(['list', '--json'])
  const rows = list.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.match(rows, [
    { role: 'admin', disabled: false },
    { email: 'Ann@Example.org', name: 'Ann', role: 'user', disabled: false, createdAt: /Z$/ },
    { email: 'second@example.org', name: 'The Second', role: 'admin', disabled: false }
  ])
  t.notMatch(list.out, /argon2|password/i)
  t.match((await users(['list'])).out, /Z {2}user {3}enabled {3}Ann@Example\.org {2}Ann\n/)

  const { data } = (await service.admin.get('/api/v1/audit-events?action=user.created&pageSize=100')).json
  t.match(
    data.find((event: { target: { id: string } }) => event.target.id === rows[1].id),
    { actor: { type: 'system', id: null, name: 'command line' }, details: { role: 'user' } }
  )
})

t.test('users create refuses the same input as the API', async (t) => {
  const { service, users } = await started(t)
  const { email } = service.admin.person
  const refused: [string[], RegExp, string?][] = [
    [['create', email.toUpperCase()], /Another user has this e-mail address/],
    [['create', 'none'], /the e-mail address cannot be used: /],
    [['create', 'a@localhost'], /the e-mail address cannot be used: /],
    [['create', 'a@example.org', '--name', ' '], /--name cannot be used: /],
    [['create', 'a@example.org', '--name', 'a\u202eb'], /--name cannot be used: /],
    [['create', 'a@example.org', '--password-stdin'], /a password must have 12 to 256 characters/, 'short\n'],
    [['create', 'a@example.org', '--password-stdin'], /a password must have 12 to 256 characters/, ''],
    [['create', 'a@example.org', '--password-stdin'], /password/, `${'x'.repeat(257)}\n`],
    [['create', 'a@example.org', '--password-stdin'], /password/, 'nul\0nul\0nul\0nul\0'],
    [['create', 'a@example.org', 'a password here'], /usage: latchkey users create <email>/],
    [['create'], /usage: latchkey users create <email>/],
    [['list', '--admin'], /usage: latchkey users list/],
    [['disable', 'a@example.org', '--password-stdin'], /usage: /]
  ]
  for (const [words, message, input] of refused) {
    const { code, out, err } = await users(words, input)
    t.same([code, out], [1, ''], words.join(' '))
    t.match(err, message)
  }
  t.equal((await service.admin.get('/api/v1/users')).json.total, 1)
})

t.test('a password on standard input must be valid UTF-8 of limited length', async (t) => {
  const { service, users } = await started(t)
  const create = ['create', 'a@example.org', '--password-stdin']
  for (const [input, message] of [
    [Buffer.concat([Buffer.from('a long enough one'), Buffer.from([0xff])]), 'is not valid UTF-8'],
    [Buffer.from('a long enough one é', 'latin1'), 'is not valid UTF-8'],
    ['x'.repeat(1_000_000), 'a password must have 12 to 256 characters']
  ] as const) {
    const { code, out, err } = await users(create, input)
    t.same([code, out], [1, ''])
    t.match(err, message)
    t.equal(err.trim().split('\n').length, 1)
  }
  const endless = await shell(service.databaseUrl, 'users create a@example.org --password-stdin </dev/zero')
  t.match(endless, { code: 1, err: 'latchkey: a password must have 12 to 256 characters\n' })
  t.equal((await service.admin.get('/api/v1/users')).json.total, 1)
})

t.test('a failed write of output is one line', { skip: !existsSync('/dev/full') }, async (t) => {
  const { service, statusOf } = await started(t)
  const { email, password } = (await service.newUser()).person
  const run = (words: string) => shell(service.databaseUrl, words)
  t.match(await run('users list | head -c 1'), { code: 0, out: '2', err: '' })
  t.match(await run('--help | true'), { code: 0, out: '', err: '' })
  t.match(await run('users list >/dev/full'), {
    code: 1,
    err: 'latchkey: cannot write to standard output (ENOSPC)\n'
  })
  t.match(await run('users create new@example.org >/dev/full'), {
    code: 1,
    err:
      'latchkey: Created the user new@example.org. The password could not be printed. ' +
      'To set one, run: latchkey users reset-password new@example.org\n'
  })
  const unread = await run('users create unread@example.org | sleep 0')
  t.match(unread.err, 'The password could not be printed')
  t.match(await run(`users reset-password ${email} >/dev/full`), {
    code: 1,
    err: `latchkey: ${email} has a new password. All sessions of the user have ended. The password could not`
  })
  t.equal(await statusOf(email, password), 401)
})

t.test('printed commands are quoted for the shell', async (t) => {
  const { users } = await started(t)
  const email = "o'neil&co@example.org"
  t.match(await users(['create', email]), { code: 0 })
  t.match(await users(['disable', email]), { code: 0 })
  const { out } = await users(['reset-password', email])
  t.match(out, "latchkey users enable 'o'\\''neil&co@example.org'\n")
})

t.test('users reset-password ends sessions, is audited, and applies the password rules', async (t) => {
  const { service, users, statusOf } = await started(t)
  const ann = await service.newUser()
  const { email, password } = ann.person
  const reset = await users(['reset-password', email.toUpperCase()])
  t.match(reset, { code: 0, err: '' })
  t.equal((await ann.get('/api/v1/session')).status, 401, 'the session has ended')
  t.equal(await statusOf(email, password), 401)
  t.equal(await statusOf(email, passwordIn(reset.out)), 200)

  // RFC 8265: the Unicode form of letters and the kind of spaces do not matter.
  const typed = await users(['reset-password', email, '--password-stdin'], 'mot de passe cafe\u0301\r\n')
  t.match(typed, { code: 0, err: '' })
  t.notMatch(typed.out, /Password:|cafe/, 'a given password is not printed')
  t.equal(await statusOf(email, 'mot\u00a0de passe caf\u00e9'), 200)

  t.match(await users(['reset-password', 'nobody@example.org']), {
    code: 1,
    out: '',
    err: 'latchkey: there is no user with the e-mail address nobody@example.org\n'
  })
  const { data } = (await service.admin.get('/api/v1/audit-events?action=user.updated')).json
  t.equal(data.length, 2)
  t.match(data[0], {
    actor: { type: 'system', name: 'command line' },
    target: { type: 'user', name: 'Somebody' },
    details: { changed: ['password'] }
  })
})

t.test('users disable ends sessions and tokens at the next request, and enable undoes it', async (t) => {
  const { service, users, statusOf } = await started(t)
  const ann = await service.newUser()
  const { email, password } = ann.person
  const made = await ann.post('/api/v1/access-tokens', { name: 'mine', scopes: ['credentials:read'] })
  t.equal(made.status, 201)
  const byToken = async () =>
    (
      await fetch(`${service.origin}/api/v1/app-credentials`, {
        headers: { authorization: `Bearer ${made.json.token}` }
      })
    ).status
  t.equal(await byToken(), 200)

  t.match(await users(['disable', email]), { code: 0, err: '' })
  t.equal((await ann.get('/api/v1/session')).status, 401)
  t.equal(await byToken(), 401)
  t.equal(await statusOf(email, password), 401)
  const { data } = (await service.admin.get('/api/v1/users')).json
  t.equal(data.find((user: { email: string }) => user.email === email).disabled, true)
  t.match((await users(['list'])).out, new RegExp(`disabled {2}${email}`))
  const reset = await users(['reset-password', email])
  t.match(
    reset.out,
    new RegExp(`The user is still disabled. To enable it, run: latchkey users enable ${email}`)
  )

  t.match(await users(['enable', email]), { code: 0, err: '' })
  t.equal(await statusOf(email, passwordIn(reset.out)), 200)
  t.equal(await byToken(), 401, 'revoked tokens stay revoked')
  const events = (await service.admin.get('/api/v1/audit-events?action=user.updated')).json.data
  t.match(
    events.map((event: { details: { disabled?: boolean } }) => event.details.disabled),
    [false, undefined, true]
  )
})

t.test('the last administrator cannot be disabled, not even by concurrent commands', async (t) => {
  const { service, users } = await started(t)
  const { email } = service.admin.person
  t.match(await users(['disable', email]), { code: 1, out: '', err: /needs at least one administrator/ })
  await users(['create', 'second@example.org', '--admin'])
  const both = await Promise.all([users(['disable', email]), users(['disable', 'second@example.org'])])
  t.same(both.map(({ code }) => code).sort(), [0, 1])
  const { rows } = await sql`select from users where role = 'admin' and disabled_at is null`.execute(
    service.db
  )
  t.equal(rows.length, 1)
})

t.test('nothing is changed without its audit event', async (t) => {
  const { service, users, statusOf } = await started(t)
  const { email, password } = (await service.newUser()).person
  await sql`create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$`.execute(
    service.db
  )
  await sql`create trigger refuse before insert on audit_log execute function refuse()`.execute(service.db)
  for (const words of [
    ['reset-password', email],
    ['disable', email],
    ['create', 'new@example.org']
  ]) {
    const { code, out } = await users(words)
    t.same([code, out], [1, ''], words.join(' '))
  }
  await sql`drop trigger refuse on audit_log`.execute(service.db)
  t.equal(await statusOf(email, password), 200)
  t.equal((await service.admin.get('/api/v1/users')).json.total, 2)
})

t.test('on a database without tables, the error says to run latchkey migrate', async (t) => {
  const database = await createTestDatabase({ empty: true })
  t.teardown(database.drop)
  const env = { DATABASE_URL: database.url, LATCHKEY_ROOT_KEYS: newRootKey('cli') }
  for (const words of [
    ['users', 'list'],
    ['keys', 'status'],
    ['audit', 'verify']
  ]) {
    const { code, err } = await runCli(env, words)
    t.equal(code, 1)
    t.match(err, /^latchkey: relation "\w+" does not exist: run "latchkey migrate"/)
  }
})
