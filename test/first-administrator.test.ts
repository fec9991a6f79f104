import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { newRootKey } from '../src/root-keys/local.ts'
import { createTestDatabase } from './helpers/database.ts'
import { json, newDirectory, signIn, startEmbeddedService } from './helpers/embedded-service.ts'
import { startProcess } from './helpers/process.ts'

// Starts many processes in sequence.
t.setTimeout(300_000)

const EMAIL = 'admin@latchkey.local'
const OWN = 'a password of my own'

async function send(origin: string, cookie: string, method: string, path: string, body: unknown) {
  const headers = { ...json, cookie }
  const answer = await fetch(`${origin}/api/v1${path}`, { method, headers, body: JSON.stringify(body) })
  return { status: answer.status, json: JSON.parse(await answer.text()) }
}

t.test('the embedded start prints the first password only while it is valid', async (t) => {
  const cwd = await newDirectory(t)
  const data = join(cwd, 'data')
  const hasFile = async () => (await readdir(data)).includes('admin.password')
  const first = await startEmbeddedService(t, cwd)
  const made = (await readFile(join(data, 'admin.password'), 'utf8')).trim()
  t.equal(first.administrator, `${EMAIL}, password ${made}`)
  const { cookie } = await signIn(first.origin, EMAIL, made)
  const self = await send(first.origin, cookie, 'PUT', '/users/me/password', {
    currentPassword: 'not this one',
    newPassword: OWN
  })
  t.equal(self.status, 403)
  const other = await send(first.origin, cookie, 'POST', '/users', {
    email: 'second@example.org',
    name: 'Second',
    password: OWN,
    role: 'admin'
  })
  t.equal(other.status, 201)
  t.ok(await hasFile(), 'the file is kept while the password is valid')
  await first.stop()

  const configured = await startEmbeddedService(t, cwd, { LATCHKEY_ADMIN_PASSWORD: 'another one entirely' })
  t.equal(configured.administrator, `${EMAIL}, password ${made}`, 'the configured password is ignored')
  const { cookie: changing } = await signIn(configured.origin, EMAIL, made)
  const body = { currentPassword: made, newPassword: OWN }
  t.equal((await send(configured.origin, changing, 'PUT', '/users/me/password', body)).status, 200)
  t.notOk(await hasFile(), 'changing the password removes the file at once')
  await configured.stop()

  const changed = await startEmbeddedService(t, cwd, { LATCHKEY_ADMIN_PASSWORD: 'another one entirely' })
  t.match(changed.administrator, /^admin@latchkey\.local, with your own password/)
  t.notMatch(changed.output(), made)
  t.notOk(await hasFile(), 'a start does not create the file again')
  await changed.stop()

  // Simulates a kill of the service between the change and the removal of the file.
  await writeFile(join(data, 'admin.password'), `${made}\n`, { mode: 0o600 })
  const same = await startEmbeddedService(t, cwd, { LATCHKEY_ADMIN_PASSWORD: OWN })
  t.equal(same.administrator, `${EMAIL}, password as in LATCHKEY_ADMIN_PASSWORD`)
  t.notOk(await hasFile())
  t.notMatch(same.output(), OWN)

  const { cookie: admin } = await signIn(same.origin, 'second@example.org', OWN)
  const list = await send(same.origin, admin, 'GET', '/users?search=Administrator', undefined)
  const path = `/users/${list.json.data[0].id}`
  await writeFile(join(data, 'admin.password'), `${OWN}\n`, { mode: 0o600 })
  const moved = await send(same.origin, admin, 'PUT', path, { email: 'new@example.org' })
  t.equal(moved.status, 200)
  t.ok(await hasFile(), 'changing the e-mail address keeps the file')
  await same.stop()
  const renamed = await startEmbeddedService(t, cwd)
  t.equal(renamed.administrator, `new@example.org, password ${OWN}`)

  const again = (await signIn(renamed.origin, 'second@example.org', OWN)).cookie
  t.equal((await send(renamed.origin, again, 'PUT', path, { password: 'set by another' })).status, 200)
  t.notOk(await hasFile(), 'a reset by another administrator removes the file')
  t.equal((await send(renamed.origin, again, 'PUT', path, { disabled: true })).status, 200)
  await renamed.stop()
  const service = startProcess(t, cwd, { LOG_LEVEL: 'silent' })
  await service.printed(/listens on/)
  service.child.kill('SIGINT')
  t.equal(await service.exited, 0)
  t.notMatch(service.output(), 'Administrator:', 'a disabled administrator is not printed')
})

t.test('with DATABASE_URL, only the start that creates the administrator prints it', async (t) => {
  const database = await createTestDatabase()
  t.teardown(database.drop)
  const cwd = await newDirectory(t)
  const env = {
    DATABASE_URL: database.url,
    LATCHKEY_ROOT_KEYS: newRootKey('one'),
    LATCHKEY_ADMIN_EMAIL: 'root@example.org'
  }
  const printed = async (password: string) => {
    const service = startProcess(t, cwd, { ...env, LATCHKEY_ADMIN_PASSWORD: password })
    await service.printed(/listens on/)
    service.child.kill('SIGINT')
    t.equal(await service.exited, 0)
    return service.output()
  }
  t.match(
    await printed('a long enough one'),
    /^Administrator: root@example\.org, password as in LATCHKEY_AD/m
  )
  t.notMatch(await printed('reset-me-please-1'), 'Administrator')
  t.same(await readdir(cwd), [])
})

t.test('deleting the first administrator removes the file with the password', async (t) => {
  const cwd = await newDirectory(t)
  const path = join(cwd, 'data/admin.password')
  const { origin } = await startEmbeddedService(t, cwd)
  const first = await signIn(origin, EMAIL, (await readFile(path, 'utf8')).trim())
  const user = { email: 'second@example.org', name: 'Second', password: OWN, role: 'admin' }
  t.equal((await send(origin, first.cookie, 'POST', '/users', user)).status, 201)
  const second = await signIn(origin, user.email, OWN)
  const { data } = (await send(origin, second.cookie, 'GET', '/users', undefined)).json
  const { id } = data.find(({ email }: { email: string }) => email === EMAIL)
  const headers = { cookie: second.cookie }
  t.equal((await fetch(`${origin}/api/v1/users/${id}`, { method: 'DELETE', headers })).status, 200)
  t.notOk((await readdir(join(cwd, 'data'))).includes('admin.password'))
})
