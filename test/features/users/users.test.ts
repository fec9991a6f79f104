import { randomUUID } from 'node:crypto'
import t from 'tap'
import { uuidv7 } from '../../../src/ids.ts'
import { startTestApp, type TestApp } from '../../helpers/app.ts'
import type { Answer, Client } from '../../helpers/client.ts'

const service = await startTestApp(t)
const { admin } = service
const PASSWORD = 'correct horse battery'
const USERS = '/api/v1/users'

const someone = () => ({ email: `${randomUUID()}@example.org`, name: 'Ann', password: PASSWORD })
const outcome = ({ status, json }: Answer) => [status, json.code]
const pathOf = ({ person }: Client) => `${USERS}/${person.id}`

/** Returns the problem without its request id. */
const problemOf = ({ status, json }: Answer) => ({ ...json, requestId: undefined, status })

t.test('an administrator creates a user, who signs in with the password', async (t) => {
  const ann = { ...someone(), name: 'Ann Ö. "Annie" 安' }
  const made = await admin.post(USERS, ann)
  t.equal(made.status, 201)
  t.equal(made.headers.get('location'), `${USERS}/${made.json.id}`)
  t.match(made.json, { email: ann.email, name: ann.name, role: 'user', disabled: false })
  t.notMatch(made.text, /password|argon/i)
  t.same((await admin.get(`${USERS}/${made.json.id}`)).json, made.json)
  t.equal((await service.anonymous().signIn(ann)).status, 200)
})

t.test('invalid input is refused with its path', async (t) => {
  const ann = await service.newUser()
  const cases: [string, object, string, string][] = [
    ['no e-mail', { email: undefined }, '/body/email', 'required'],
    ['no name', { name: undefined }, '/body/name', 'required'],
    ['no password', { password: undefined }, '/body/password', 'required'],
    ['an invalid e-mail address', { email: 'ann' }, '/body/email', 'wrong-format'],
    ['white space around it', { email: ' ann@example.org' }, '/body/email', 'wrong-format'],
    ['a long e-mail', { email: `ann@${'example.'.repeat(40)}org` }, '/body/email', 'too-long'],
    ['an empty name', { name: '' }, '/body/name', 'too-short'],
    ['a name of white space', { name: '  ' }, '/body/name', 'wrong-form'],
    ['a name with a line break', { name: 'a\nb' }, '/body/name', 'wrong-form'],
    ['a long name', { name: 'x'.repeat(201) }, '/body/name', 'too-long'],
    ['a name that is a number', { name: 1 }, '/body/name', 'wrong-type'],
    ['a short password', { password: 'elevenchars' }, '/body/password', 'too-short'],
    ['a long password', { password: 'x'.repeat(257) }, '/body/password', 'too-long'],
    ['an unknown role', { role: 'root' }, '/body/role', 'not-allowed'],
    ['an unknown property', { id: randomUUID() }, '/body', 'unknown-property']
  ]
  const before = (await admin.get(USERS)).json.total
  for (const [name, invalid, path, code] of cases) {
    const created = await admin.post(USERS, { ...someone(), ...invalid })
    t.same([...outcome(created), created.json.errors[0].path], [400, 'validation-failed', path], name)
    t.equal(created.json.errors[0].code, code, name)
    if (code === 'required') continue
    const changed = await admin.put(pathOf(ann), invalid)
    t.same([...outcome(changed), changed.json.errors[0].path], [400, 'validation-failed', path], name)
  }
  t.same(outcome(await admin.put(pathOf(ann), { disabled: 'true' })), [400, 'validation-failed'])
  t.equal((await admin.get(USERS)).json.total, before)
})

t.test('users are hidden from each other: an existing user looks like an unknown one', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const unknown = `${USERS}/${randomUUID()}`
  const cases: [string, (path: string) => Promise<Answer>][] = [
    ['reading', (path) => bob.get(path)],
    ['renaming', (path) => bob.put(path, { name: 'Mallory' })],
    ['disabling', (path) => bob.put(path, { disabled: true })]
  ]
  for (const [name, act] of cases) {
    t.same(outcome(await act(pathOf(ann))), [404, 'not-found'], name)
    t.same(problemOf(await act(pathOf(ann))), problemOf(await act(unknown)), name)
  }
  t.equal((await ann.get(pathOf(ann))).json.name, 'Somebody')
})

t.test('only administrators list, create and delete', async (t) => {
  const ann = await service.newUser()
  const cases: [string, Answer][] = [
    ['listing', await ann.get(USERS)],
    ['creating', await ann.post(USERS, someone())],
    ['deleting oneself', await ann.delete(pathOf(ann))],
    ['deleting nobody', await ann.delete(`${USERS}/${randomUUID()}`)]
  ]
  for (const [name, answer] of cases) t.same(outcome(answer), [403, 'forbidden'], name)
  t.equal((await ann.get(pathOf(ann))).status, 200)
})

t.test('a malformed id is not found', async (t) => {
  for (const id of ['1', 'me', `${randomUUID()}0`, '%20', `{${randomUUID()}}`]) {
    const path = `${USERS}/${id}`
    t.same(outcome(await admin.get(path)), [404, 'not-found'], id)
    t.same(outcome(await admin.put(path, {})), [404, 'not-found'], id)
    t.same(outcome(await admin.delete(path)), [404, 'not-found'], id)
  }
  const path = `${USERS}/${randomUUID()}`
  t.same(outcome(await admin.put(path, { role: 'user' })), [404, 'not-found'])
  t.same(outcome(await admin.delete(path)), [404, 'not-found'])
})

t.test('users read and rename themselves, and change nothing else', async (t) => {
  const ann = await service.newUser({ name: 'Ann' })
  const before = (await ann.get(pathOf(ann))).json
  const refused = [
    { email: 'other@example.org' },
    { role: 'admin' },
    { disabled: false },
    { password: 'another long password' },
    { name: 'Ann Other', role: 'user' }
  ]
  for (const body of refused) {
    t.same(outcome(await ann.put(pathOf(ann), body)), [403, 'forbidden'], Object.keys(body).join())
  }
  t.same((await ann.get(pathOf(ann))).json, before, 'nothing has changed')
  t.match(await ann.put(pathOf(ann), { name: 'Ann Other' }), { status: 200, json: { name: 'Ann Other' } })
  t.equal(
    (await ann.get(pathOf(ann).toUpperCase().replace(USERS.toUpperCase(), USERS))).json.name,
    'Ann Other'
  )
})

t.test('an update changes the properties that are sent and no others', async (t) => {
  const ann = await service.newUser()
  const before = (await admin.get(pathOf(ann))).json
  const email = someone().email
  const changed = await admin.put(pathOf(ann), { name: 'Ann', email, role: 'admin' })
  t.match(changed.json, { ...before, name: 'Ann', email, role: 'admin', updatedAt: String })
  t.ok(changed.json.updatedAt > before.updatedAt)
  t.match((await admin.put(pathOf(ann), {})).json, { name: 'Ann', email, role: 'admin', disabled: false })
  t.equal((await ann.get(USERS)).status, 200, 'existing sessions have the new role')
  t.equal((await service.anonymous().signIn({ email, password: PASSWORD })).status, 200)
})

t.test('e-mail addresses are unique, ignoring case', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const email = ann.person.email.toUpperCase()
  t.same(outcome(await admin.post(USERS, { ...someone(), email })), [409, 'email-taken'])
  t.same(outcome(await admin.put(pathOf(bob), { email, name: 'Bob' })), [409, 'email-taken'])
  t.equal((await admin.get(pathOf(bob))).json.name, 'Somebody', 'nothing has changed')
  t.equal(
    (await admin.put(pathOf(ann), { email })).json.email,
    email,
    'a user can change the case of their address'
  )
})

t.test('of twenty concurrent creates with one e-mail address, one succeeds', async (t) => {
  const ann = someone()
  const answers = await Promise.all(Array.from({ length: 20 }, () => admin.post(USERS, ann)))
  const codes = answers.map((answer) => `${answer.status} ${answer.json.code ?? ''}`).sort()
  t.same(codes, ['201 ', ...Array(19).fill('409 email-taken')])
})

t.test('a retry with the same Idempotency-Key gets the first response and creates no user', async (t) => {
  const ann = someone()
  const headers = { 'idempotency-key': randomUUID() }
  const first = await admin.post(USERS, ann, { headers })
  const again = await admin.post(USERS, ann, { headers })
  t.same([first.status, again.status], [201, 201])
  t.same(again.json, first.json)
  t.equal(again.headers.get('location'), first.headers.get('location'))
  t.equal(first.headers.get('idempotency-replayed'), null)
  t.equal(again.headers.get('idempotency-replayed'), 'true')
  t.same(outcome(await admin.post(USERS, { ...ann, name: 'Bob' }, { headers })), [
    422,
    'idempotency-key-reused'
  ])

  const row = await service.db
    .selectFrom('idempotency_keys')
    .select('answer')
    .where('key', '=', headers['idempotency-key'])
    .executeTakeFirstOrThrow()
  const { keyring } = service.app.services
  const stored = keyring.answers(admin.person.id, headers['idempotency-key']).open([], row.answer!).toString()
  t.match(stored, ann.email)
  t.notMatch(stored, /correct horse battery|argon2/)
})

t.test(
  'concurrent creates with one key create one user, and a refused create does not use the key up',
  async (t) => {
    const headers = { 'idempotency-key': randomUUID() }
    const ann = someone()
    const twins = await Promise.all(Array.from({ length: 5 }, () => admin.post(USERS, ann, { headers })))
    t.same([...new Set(twins.map((twin) => `${twin.status} ${twin.json.id}`))].length, 1)
    t.equal(twins.filter((twin) => twin.headers.has('idempotency-replayed')).length, 4)

    const other = { 'idempotency-key': randomUUID() }
    t.same(outcome(await admin.post(USERS, ann, { headers: other })), [409, 'email-taken'])
    t.equal((await admin.post(USERS, someone(), { headers: other })).status, 201)
  }
)

t.test('the list is newest first, paged, and searchable by name', async (t) => {
  const word = randomUUID()
  const names = [`${word} 100%`, `${word} a_b`, `${word} c\\d`, `${word} ÄRGER`, `${word} axb`]
  for (const name of names) await admin.post(USERS, { ...someone(), name })
  const search = async (text: string, more = '') => {
    const { json } = await admin.get(`${USERS}?search=${encodeURIComponent(text)}${more}`)
    return [json.total, json.data.map((user: { name: string }) => user.name.slice(word.length + 1))]
  }
  t.same(await search(word), [5, ['axb', 'ÄRGER', 'c\\d', 'a_b', '100%']])
  t.same(await search(word.toUpperCase(), '&pageSize=2&page=2'), [5, ['c\\d', 'a_b']])
  t.same(await search(word, '&pageSize=2&page=4'), [5, []], 'past the end')
  t.same(await search(word, '&page=1000000000&pageSize=100'), [5, []])
  t.same(await search(`${word} ärger`), [1, ['ÄRGER']])
  for (const literal of ['100%', 'a_b', 'c\\d']) t.same(await search(`${word} ${literal}`), [1, [literal]])
  for (const pattern of ['1%0', 'a_xb', '%', '\\', 'a\\_b'])
    t.same(await search(`${word} ${pattern}`), [0, []])

  const { json } = await admin.get(USERS)
  t.match(json, { page: 1, pageSize: 20 })
  t.notMatch(JSON.stringify(json), /password/)
  for (const query of ['page=0', 'page=1.5', 'pageSize=101', 'page=1e99', 'sort=email', 'search=%00']) {
    t.same(outcome(await admin.get(`${USERS}?${query}`)), [400, 'validation-failed'], query)
  }
})

t.test('disabling a user ends their sessions at once, and enabling restores none', async (t) => {
  const ann = await service.newUser()
  const phone = ann.other()
  await phone.signIn(ann.person)
  t.match((await admin.put(pathOf(ann), { disabled: true })).json, { disabled: true })
  t.equal((await ann.get('/api/v1/session')).status, 401)
  t.same(outcome(await ann.other().signIn(ann.person)), [401, 'invalid-credentials'])
  t.match((await admin.put(pathOf(ann), { disabled: false })).json, { disabled: false })
  for (const device of [ann, phone]) t.equal((await device.get('/api/v1/session')).status, 401)
  t.equal((await ann.signIn(ann.person)).status, 200)
})

t.test('a password set by an administrator ends the sessions and replaces the old one', async (t) => {
  const ann = await service.newUser()
  const password = 'staple of another kind'
  const answer = await admin.put(pathOf(ann), { password })
  t.equal(answer.status, 200)
  t.notMatch(answer.text, /staple|argon/)
  t.equal((await ann.get('/api/v1/session')).status, 401)
  t.equal((await ann.signIn(ann.person)).status, 401)
  t.equal((await ann.signIn({ ...ann.person, password })).status, 200)
})

t.test('deleting a user ends their sessions and memberships', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const { json: project } = await bob.post('/api/v1/projects', { name: 'P' })
  await bob.post(`/api/v1/projects/${project.id}/members`, { email: ann.person.email, role: 'editor' })
  t.same((await admin.delete(pathOf(ann))).json, { success: true })
  t.equal((await ann.get('/api/v1/session')).status, 401)
  t.same(outcome(await admin.get(pathOf(ann))), [404, 'not-found'])
  t.same(outcome(await admin.delete(pathOf(ann))), [404, 'not-found'])
  t.equal((await bob.get(`/api/v1/projects/${project.id}/members`)).json.total, 1)
  t.equal((await admin.post(USERS, { ...someone(), email: ann.person.email })).status, 201)
})

async function insertType({ db }: TestApp, ownerId: string): Promise<string> {
  const id = uuidv7()
  await db
    .insertInto('credential_types')
    .values({ id, type_name: `Type ${id}`, name_key: `type ${id}`, owner_id: ownerId })
    .execute()
  return id
}

async function ownerOf({ db }: TestApp, typeId: string): Promise<string | null> {
  const type = await db
    .selectFrom('credential_types')
    .select('owner_id')
    .where('id', '=', typeId)
    .executeTakeFirst()
  return type!.owner_id
}

t.test('an address with an international domain is stored in its ASCII form', async (t) => {
  const id = randomUUID()
  const email = `Ann.${id}@B\u00fccher.example`
  const made = await admin.post(USERS, { ...someone(), email })
  t.equal(made.json.email, `Ann.${id}@xn--bcher-kva.example`)
  for (const other of [`ann.${id}@bu\u0308cher.EXAMPLE`, `ann.${id}@xn--bcher-kva.example`]) {
    t.same(outcome(await admin.post(USERS, { ...someone(), email: other })), [409, 'email-taken'], other)
    t.equal((await service.anonymous().signIn({ email: other, password: PASSWORD })).status, 200, other)
  }
  const project = (await admin.post('/api/v1/projects', { name: 'Bücher' })).json.id
  const member = await admin.post(`/api/v1/projects/${project}/members`, { email, role: 'viewer' })
  t.equal(member.json.userId, made.json.id)
})

t.test('an invalid address is refused with the reason', async (t) => {
  const none = 'This must be an e-mail address, such as name@example.org.'
  const cases: [string, string][] = [
    ['j\u00f6rg@example.org', 'The part of an e-mail address before the @ must be in ASCII.'],
    ['\u212aann@example.org', 'The part of an e-mail address before the @ must be in ASCII.'],
    ['ann@localhost', 'The domain of an e-mail address needs a dot, as in name@example.org.'],
    ['ann@b\u00fccher', 'The domain of an e-mail address needs a dot, as in name@example.org.'],
    ...['ann', '@example.org', 'ann@', 'a b@example.org', 'ann@exa mple.org', 'ann@@example.org'].map(
      (email): [string, string] => [email, none]
    ),
    ...[
      'ann@b\u00fc/x.example',
      'ann@b\u00fc%41.example',
      'ann@b\u00fc..example',
      'ann@b\u00fc\u202e.example'
    ].map((email): [string, string] => [email, none])
  ]
  for (const [email, message] of cases) {
    const { status, json } = await admin.post(USERS, { ...someone(), email })
    t.match([status, json.errors], [400, [{ path: '/body/email', code: 'wrong-format', message }]], email)
    t.equal((await service.anonymous().signIn({ email, password: PASSWORD })).status, 400, email)
  }
})

t.test('a user who owns credentials cannot be deleted and keeps everything', async (t) => {
  const ann = await service.newUser()
  const type = await insertType(service, ann.person.id)
  const id = uuidv7()
  const values = { id, owner_id: ann.person.id, type_id: type, name: 'Mail', name_key: 'mail' }
  await service.db.insertInto('credentials').values(values).execute()
  t.same(outcome(await admin.delete(pathOf(ann))), [409, 'user-owns-credentials'])
  t.equal((await ann.get('/api/v1/session')).status, 200)
  t.equal(await ownerOf(service, type), ann.person.id)
  await service.db.deleteFrom('credentials').where('id', '=', id).execute()
  t.equal((await admin.delete(pathOf(ann))).status, 200)
})

t.test('the credential types of a deleted user go to the administrator who deletes them', async (t) => {
  const [ann, eve] = [await service.newUser(), await service.newUser({ role: 'admin' })]
  const type = await insertType(service, ann.person.id)
  t.equal((await eve.delete(pathOf(ann))).status, 200)
  t.equal(await ownerOf(service, type), eve.person.id)
  t.equal((await eve.delete(pathOf(eve))).status, 200)
  t.equal(
    await ownerOf(service, type),
    admin.person.id,
    'the types of an administrator who deletes their own account go to the oldest other administrator'
  )
})

t.test('the only owner of a project cannot be deleted', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const { json: project } = await ann.post('/api/v1/projects', { name: 'P' })
  const members = `/api/v1/projects/${project.id}/members`
  await ann.post(members, { email: bob.person.email, role: 'admin' })
  t.same(outcome(await admin.delete(pathOf(ann))), [409, 'last-owner'])
  t.equal((await ann.put(`${members}/${bob.person.id}`, { role: 'owner' })).status, 200)
  t.equal((await admin.delete(pathOf(ann))).status, 200)
})
