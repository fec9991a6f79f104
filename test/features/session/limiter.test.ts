import { createHash, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Answer, Client } from '../../helpers/client.ts'
import { startReplica } from '../../helpers/replica.ts'

// With TRUST_PROXY, so that each test can use its own addresses.
const service = await startTestApp(t, { TRUST_PROXY: 'true' })

let addresses = 0
const newAddress = () => `198.51.100.${++addresses}`
const WRONG = 'not the right one'

function signIn(client: Client, email: string, password: string, address: string): Promise<Answer> {
  return client
    .other()
    .post('/api/v1/session', { email, password }, { headers: { 'x-forwarded-for': address } })
}

async function fail(t: typeof service.admin, email: string, address: string, times: number) {
  const statuses: number[] = []
  for (let i = 0; i < times; i++) statuses.push((await signIn(t, email, WRONG, address)).status)
  return statuses
}

const failuresFrom = (address: string) =>
  service.db.selectFrom('login_failures').where('address', '=', address).select(['id', 'account']).execute()
const hashOf = (email: string) => createHash('sha256').update(email.toLowerCase()).digest()
/** Inserts failures as if that many attempts had just failed. */
const plant = (count: number, failure: () => { account: Buffer; address: string }) =>
  service.db
    .insertInto('login_failures')
    .values(Array.from({ length: count }, () => ({ id: randomUUID(), ...failure() })))
    .execute()

t.test('ten wrong passwords lock out only the address that sent them', async (t) => {
  const ann = await service.newUser()
  const { email, password } = ann.person
  const [bad, good] = [newAddress(), newAddress()]
  t.same(await fail(ann, email, bad, 10), Array(10).fill(401))
  const refused = await signIn(ann, email, WRONG, bad)
  t.match(refused.json, { status: 429, code: 'too-many-attempts' })
  const seconds = Number(refused.headers.get('retry-after'))
  t.ok(Number.isInteger(seconds) && seconds > 0 && seconds <= 15 * 60, `retry after ${seconds} s`)
  t.equal((await signIn(ann, email, password, bad)).status, 429, 'the right password is refused as well')
  t.equal((await signIn(ann, email.toUpperCase(), password, bad)).status, 429, 'also in upper case')
  t.equal((await signIn(ann, email, password, good)).status, 200, 'another address is not locked out')
  const bob = await service.newUser()
  t.equal(
    (await signIn(bob, bob.person.email, password, bad)).status,
    200,
    'another account is not locked out'
  )
})

t.test('an unknown account is locked out in the same way', async (t) => {
  const address = newAddress()
  const ann = await service.newUser()
  const refusals = []
  for (const email of [ann.person.email, `nobody-${randomUUID()}@example.org`]) {
    t.same(await fail(ann, email, address, 10), Array(10).fill(401))
    const { status, text, json } = await signIn(ann, email, WRONG, address)
    refusals.push({ status, text: text.replace(json.requestId, '') })
  }
  t.same(refusals[0], refusals[1])
})

t.test('refused attempts do not extend the wait, after which attempts are forgotten', async (t) => {
  const ann = await service.newUser()
  const { email, password } = ann.person
  const address = newAddress()
  await fail(ann, email, address, 10)
  t.same(await fail(ann, email, address, 5), Array(5).fill(429))
  t.equal((await failuresFrom(address)).length, 10)
  const earlier = (seconds: number) =>
    sql`update login_failures set at = at - make_interval(secs => ${seconds})
      where address = ${address}`.execute(service.db)
  await earlier(14 * 60)
  t.equal((await signIn(ann, email, password, address)).status, 429, 'not yet')
  const wait = Number((await signIn(ann, email, password, address)).headers.get('retry-after'))
  t.ok(wait > 40 && wait <= 60, `another ${wait} s`)
  await earlier(61)
  t.equal((await signIn(ann, email, password, address)).status, 200)
})

t.test('the right password resets the count', async (t) => {
  const ann = await service.newUser()
  const { email, password } = ann.person
  const address = newAddress()
  for (let round = 0; round < 2; round++) {
    t.same(await fail(ann, email, address, 9), Array(9).fill(401))
    t.equal((await signIn(ann, email, password, address)).status, 200)
  }
  t.same(await failuresFrom(address), [])
})

t.test('concurrent attempts on two replicas are counted together', async (t) => {
  const ann = await service.newUser()
  const replica = await startReplica(t, service, { env: { TRUST_PROXY: 'true' } })
  const clients = [ann, replica.client()]
  const address = newAddress()
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, i) => signIn(clients[i % 2]!, ann.person.email, WRONG, address))
  )
  const guessed = answers.filter((answer) => answer.status === 401).length
  t.ok(guessed <= 10, `${guessed} passwords were checked`)
  t.ok(answers.every(({ status }) => status === 401 || status === 429))
})

t.test('fifty wrong passwords for one account lock it for all addresses', async (t) => {
  const ann = await service.newUser()
  const { email, password } = ann.person
  await plant(49, () => ({ account: hashOf(email), address: newAddress() }))
  t.equal((await signIn(ann, email, WRONG, newAddress())).status, 401)
  t.equal((await signIn(ann, email, password, newAddress())).status, 429)
  t.equal((await ann.get('/api/v1/session')).status, 200, 'existing sessions continue')
  await sql`update login_failures set at = at - interval '15 minutes'`.execute(service.db)
  t.equal((await signIn(ann, email, password, newAddress())).status, 200)
})

t.test('a hundred wrong passwords from one address lock it out for all accounts', async (t) => {
  const ann = await service.newUser()
  const { email, password } = ann.person
  const address = newAddress()
  await plant(100, () => ({ account: hashOf(randomUUID()), address }))
  t.equal((await signIn(ann, email, password, address)).status, 429)
  t.equal((await signIn(ann, email, password, newAddress())).status, 200)
})

t.test('the addresses of an IPv6 network of 64 bits count as one', async (t) => {
  const ann = await service.newUser()
  const { email, password } = ann.person
  for (let i = 1; i <= 10; i++)
    t.equal((await signIn(ann, email, WRONG, `2001:db8:0:1:${i}::${i}`)).status, 401)
  t.equal((await signIn(ann, email, password, '2001:db8:0:1:ffff::1')).status, 429, 'a new address in it')
  const other = '2001:db8:0:2:ffff::1'
  t.equal((await signIn(ann, email, password, other)).status, 200, 'another network is not locked out')
  const sessions = (await ann.get('/api/v1/sessions')).json.data
  const events = (await service.admin.get(`/api/v1/audit-events?actorId=${ann.person.id}`)).json.data
  for (const [where, rows] of Object.entries({ sessions, events }))
    t.ok(
      rows.some(({ ip }: { ip: string }) => ip === other),
      `${where}: the full address`
    )
})

t.test('an IPv4-mapped address counts as its IPv4 address', async (t) => {
  const ann = await service.newUser()
  const { email, password } = ann.person
  const [bad, good] = [newAddress(), newAddress()]
  t.same(await fail(ann, email, `::ffff:${bad}`, 10), Array(10).fill(401))
  t.equal((await signIn(ann, email, password, bad)).status, 429)
  t.equal((await signIn(ann, email, password, `::ffff:${good}`)).status, 200)
})

t.test('without TRUST_PROXY a forwarded address is ignored', async (t) => {
  const direct = await startReplica(t, service)
  const ann = await service.newUser()
  const client = direct.client()
  for (let i = 0; i < 10; i++) {
    t.equal((await signIn(client, ann.person.email, WRONG, newAddress())).status, 401)
  }
  t.equal((await signIn(client, ann.person.email, WRONG, newAddress())).status, 429)
  t.equal((await failuresFrom('127.0.0.1')).length, 10)
})

t.test('text entered as an e-mail address is not stored', async (t) => {
  const address = newAddress()
  await signIn(service.admin, 'my-password-by-mistake@example.org', WRONG, address)
  const [row] = await failuresFrom(address)
  t.same(row!.account, hashOf('my-password-by-mistake@example.org'))
  t.notMatch(service.log.join(), 'my-password-by-mistake')
})

t.test('attempts to change the password count too', async (t) => {
  const ann = await service.newUser()
  const address = newAddress()
  const change = (currentPassword: string) =>
    ann.put(
      '/api/v1/users/me/password',
      { currentPassword, newPassword: 'staple of another kind' },
      { headers: { 'x-forwarded-for': address } }
    )
  for (let i = 0; i < 10; i++) t.equal((await change(WRONG)).status, 403)
  const refused = await change(ann.person.password)
  t.match(refused.json, { status: 429, code: 'too-many-attempts' })
  t.ok(Number(refused.headers.get('retry-after')) > 0)
  t.equal((await signIn(ann, ann.person.email, ann.person.password, newAddress())).status, 200, 'unchanged')
})

t.test('if the attempts cannot be deleted, the password is unchanged and no session starts', async (t) => {
  const ann = await service.newUser()
  await sql`create function refuse() returns trigger language plpgsql as
    $$ begin raise 'no' using errcode = 'disk_full'; end $$`.execute(service.db)
  await sql`create trigger refuse before delete on login_failures execute function refuse()`.execute(
    service.db
  )
  const body = { currentPassword: ann.person.password, newPassword: 'staple of another kind' }
  t.equal((await ann.put('/api/v1/users/me/password', body)).status, 503)
  t.equal((await ann.other().signIn(ann.person)).status, 503)
  await sql`drop trigger refuse on login_failures`.execute(service.db)
  t.equal((await ann.get('/api/v1/sessions')).json.total, 1)
  t.equal((await ann.other().signIn(ann.person)).status, 200)
})
