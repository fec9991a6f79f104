import type { Caller, Recorder } from '../recorder.ts'
import { NO_ID, PASSWORD, type People, type World } from '../world.ts'

const path = '/api/v1/users'
const PEOPLE = {
  rita: { name: 'Rita', role: 'admin' },
  ann: { name: 'Ann' },
  bob: { name: 'Bob' },
  cem: { name: 'Çem Őz' },
  dora: { name: 'Dora' },
  eve: { name: 'Eve' }
} as const

/** Makes the people of the story; gives the world with them. */
export async function users(r: Recorder, admin: Caller, adminId: string): Promise<World> {
  r.area('users')
  const ids: Record<string, string> = { admin: adminId }
  const people: Record<string, Caller> = { admin }
  for (const [name, more] of Object.entries(PEOPLE)) {
    const email = `${name}@example.org`
    const json = { email, password: PASSWORD, ...more }
    ids[name] = (await r.post(`create.${name}`, path, { as: admin, json, name })).json.id
    people[name] = await r.signIn(email, PASSWORD)
  }
  const { ann, rita } = people as People
  const json = { email: 'tom@example.org', name: 'Tom', password: PASSWORD }

  const once = { as: admin, json, headers: { 'idempotency-key': 'tom' } }
  ids['tom'] = (await r.post('create.idempotent', path, { ...once, name: 'tom' })).json.id
  await r.post('create.replayed', path, once)
  await r.post('create.key-reused', path, { ...once, json: { ...json, name: 'Thomas' } })
  await r.post('create.key-of-another', path, { ...once, as: rita })
  await r.post('create.key-empty', path, { ...once, headers: { 'idempotency-key': '' } })
  await r.post('create.key-long', path, { ...once, headers: { 'idempotency-key': 'a'.repeat(201) } })
  await r.post('create.key-space', path, { ...once, headers: { 'idempotency-key': 'a b' } })
  await r.post('create.email-taken', path, { as: admin, json })
  await r.post('create.email-taken-upper-case', path, {
    as: admin,
    json: { ...json, email: 'TOM@Example.org' }
  })
  for (const [name, change] of Object.entries({
    'no-name': { name: undefined },
    'no-email': { email: undefined },
    'no-password': { password: undefined },
    'empty-name': { name: '' },
    'blank-name': { name: '   ' },
    'control-in-name': { name: 'a\nb' },
    'long-name': { name: 'a'.repeat(201) },
    'name-of-wrong-type': { name: null },
    'bad-email': { email: 'a@b@c' },
    'short-password': { password: 'short' },
    'unknown-role': { role: 'owner' },
    'unknown-property': { id: NO_ID }
  }))
    await r.post(`create.${name}`, path, { as: admin, json: { ...json, ...change } })
  await r.post('create.as-user', path, { as: ann, json })
  await r.post('create.nobody', path, { json })

  await r.get('list', path, { as: admin })
  await r.get('list.as-user', path, { as: ann })
  for (const query of [
    'page=1&pageSize=2',
    'page=2&pageSize=3',
    'page=99',
    'page=1000000000',
    'page=1000000001',
    'page=0',
    'page=-1',
    'page=1.5',
    'page=one',
    'page=',
    'page=1&page=2',
    'pageSize=0',
    'pageSize=101',
    'pageSize=100&search=an',
    'search=ANN',
    'search=tom@example',
    'search=%25',
    'search=_',
    'search=%5C',
    'search=%C3%A7EM',
    'search=',
    'search=nothing',
    `search=${'a'.repeat(201)}`,
    'search=%00',
    'search=a&search=b',
    'nonsense=1'
  ])
    await r.get(`list?${query.slice(0, 40)}`.replace(/[^\w.]/g, '-'), `${path}?${query}`, { as: admin })

  await r.get('get', `${path}/${ids['ann']}`, { as: admin })
  await r.get('get.oneself', `${path}/${ids['ann']}`, { as: ann })
  await r.get('get.upper-case', `${path}/${ids['ann']!.toUpperCase()}`, { as: ann })
  await r.get('get.another', `${path}/${ids['bob']}`, { as: ann })
  await r.get('get.unknown', `${path}/${NO_ID}`, { as: admin })
  await r.get('get.no-id', `${path}/nonsense`, { as: admin })
  await r.get('get.me', `${path}/me`, { as: ann })

  const tom = `${path}/${ids['tom']}`
  await r.put('update.name', tom, { as: admin, json: { name: 'Tom Other' } })
  await r.patch('patch', tom, { as: admin, json: { name: 'Tom Patched' } })
  await r.put('update.email', tom, { as: admin, json: { email: 'Thomas@example.org' } })
  await r.put('update.role', tom, { as: admin, json: { role: 'admin' } })
  await r.put('update.role-back', tom, { as: admin, json: { role: 'user' } })
  await r.put('update.nothing', tom, { as: admin, json: {} })
  await r.put('update.own-name', `${path}/${ids['ann']}`, { as: ann, json: { name: 'Ann Other' } })
  await r.put('update.own-email', `${path}/${ids['ann']}`, { as: ann, json: { email: 'a@example.org' } })
  await r.put('update.own-role', `${path}/${ids['ann']}`, { as: ann, json: { role: 'admin' } })
  await r.put('update.another', tom, { as: ann, json: { name: 'Nobody' } })
  await r.put('update.email-taken', tom, { as: admin, json: { email: 'ANN@example.org' } })
  await r.put('update.unknown', `${path}/${NO_ID}`, { as: admin, json: { name: 'Nobody' } })
  await r.put('update.no-id', `${path}/nonsense`, { as: admin, json: { name: 'Nobody' } })
  await r.put('update.empty-name', tom, { as: admin, json: { name: '' } })
  await r.put('update.disabled-of-wrong-type', tom, { as: admin, json: { disabled: 'yes' } })
  await r.put('update.short-password', tom, { as: admin, json: { password: 'short' } })
  await r.put('update.unknown-property', tom, { as: admin, json: { createdAt: null } })
  return { people: people as People, ids, tokens: {}, expiry: 0 }
}
