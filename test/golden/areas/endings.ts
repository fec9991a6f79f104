import type { Recorder } from '../recorder.ts'
import { idOf, MAIL_KEYS, NO_ID, PASSWORD, SMTP, type World } from '../world.ts'

const OTHER = 'staple of another kind'

/** Passwords, accounts that are disabled, and the end of everything. */
export async function endings(r: Recorder, world: World): Promise<void> {
  r.area('passwords')
  const { people, ids, tokens } = world
  const { admin, rita, ann, bob, cem, dora, eve } = people
  const own = '/api/v1/users/me/password'
  const session = '/api/v1/session'
  const change = (name: string, json: object, as = dora) => r.put(name, own, { as, json })
  const elsewhere = await r.signIn('dora@example.org', PASSWORD)
  await change('wrong-current', { currentPassword: 'wrong', newPassword: OTHER })
  await change('short', { currentPassword: PASSWORD, newPassword: 'short' })
  await change('long', { currentPassword: PASSWORD, newPassword: 'a'.repeat(257) })
  await change('missing', { newPassword: OTHER })
  await change('unknown-property', { currentPassword: PASSWORD, newPassword: OTHER, email: 'a@b.org' })
  await change('by-token', { currentPassword: PASSWORD, newPassword: OTHER }, tokens['ann-all'])
  await change('changed', { currentPassword: PASSWORD, newPassword: OTHER })
  await r.get('changed.here', session, { as: dora })
  await r.get('changed.elsewhere', session, { as: elsewhere })
  await r.post('old-password', session, { json: { email: 'dora@example.org', password: PASSWORD } })
  await r.post('new-password', session, { json: { email: 'dora@example.org', password: OTHER } })
  const of = (name: string) => `/api/v1/users/${idOf(world, name)}`
  await r.put('reset', of('dora'), { as: admin, json: { password: PASSWORD } })
  await r.get('reset.session', session, { as: dora })
  people.dora = await r.signIn('dora@example.org', PASSWORD)

  r.area('attempts')
  const wrong = { json: { email: 'tom@example.org', password: 'wrong' } }
  for (let attempt = 1; attempt <= 10; attempt++)
    await r.exchange(`failed-${attempt}`, 'POST', session, {
      json: { ...wrong.json, email: 'nobody@example.org' }
    })
  await r.post('too-many-sign-ins', session, { json: { ...wrong.json, email: 'NOBODY@example.org' } })
  await r.post('other-account', session, { json: { email: 'eve@example.org', password: PASSWORD } })
  for (let attempt = 1; attempt <= 10; attempt++)
    await r.exchange(`wrong-${attempt}`, 'PUT', own, {
      as: eve,
      json: { currentPassword: 'wrong', newPassword: OTHER }
    })
  await change('too-many-changes', { currentPassword: PASSWORD, newPassword: OTHER }, eve)
  await r.post('right-password', session, { json: { email: 'eve@example.org', password: PASSWORD } })

  r.area('disabled')
  const tom = { email: 'thomas@example.org', password: PASSWORD }
  const toms = await r.signIn(tom.email, tom.password)
  const token = await r.quietly('POST', '/api/v1/access-tokens', {
    as: toms,
    json: { name: 'of-tom', scopes: ['credentials:read'] }
  })
  const tomsToken = { authorization: `Bearer ${token.json.token}` }
  await r.get('before', '/api/v1/app-credentials', { as: tomsToken })
  await r.put('disable', of('tom'), { as: admin, json: { disabled: true } })
  await r.get('session', session, { as: toms })
  await r.get('token', '/api/v1/app-credentials', { as: tomsToken })
  await r.post('sign-in', session, { json: tom })
  await r.post('add-as-member', `/api/v1/projects/${idOf(world, 'mail')}/members`, {
    as: ann,
    json: { email: tom.email, role: 'viewer' }
  })
  await r.post('transfer', `/api/v1/app-credentials/${idOf(world, 'by-token')}/transfer`, {
    as: ann,
    json: { email: tom.email }
  })
  await r.put('enable', of('tom'), { as: admin, json: { disabled: false } })
  await r.post('enable.sign-in', session, { json: tom })
  await r.get('enable.token', '/api/v1/app-credentials', { as: tomsToken })

  r.area('deletions')
  const credential = (name: string) => `/api/v1/app-credentials/${idOf(world, name)}`
  await r.delete('user.who-owns-credentials', of('cem'), { as: admin })
  await r.delete('user.who-owns-a-project-alone', of('eve'), { as: admin })
  await r.delete('user.by-user', of('tom'), { as: ann })
  await r.delete('user.oneself', of('ann'), { as: ann })
  await r.delete('user.unknown', `/api/v1/users/${NO_ID}`, { as: admin })
  await r.delete('user.no-id', '/api/v1/users/nonsense', { as: admin })
  await r.delete('user', of('tom'), { as: admin })
  await r.delete('user.again', of('tom'), { as: admin })
  await r.post('user.sign-in', session, { json: tom })
  await r.get('members.after', `/api/v1/projects/${idOf(world, 'mail')}/members`, { as: ann })

  const temporary = { credentialName: 'Temporary', credentialTypeId: SMTP, keys: MAIL_KEYS }
  await r.post('credential.create', '/api/v1/app-credentials', {
    as: ann,
    json: temporary,
    name: 'temporary'
  })
  const listed = await r.quietly('GET', '/api/v1/app-credentials?search=Temporary', { as: ann })
  ids['temporary'] = listed.json.data[0].id
  await r.delete('credential.stale', credential('temporary'), { as: ann, headers: { 'if-match': '"2"' } })
  await r.delete('credential.by-nobody', credential('temporary'), { as: eve })
  await r.delete('credential.by-member', credential('mailer'), { as: bob })
  await r.delete('credential.by-read-token', credential('temporary'), { as: tokens['ann-read'] })
  await r.delete('credential', credential('temporary'), { as: ann, headers: { 'if-match': '"1"' } })
  await r.delete('credential.again', credential('temporary'), { as: ann })
  await r.delete('credential.by-token', credential('by-token'), { as: tokens['ann-write'] })
  await r.delete('credential.no-id', '/api/v1/app-credentials/nonsense', { as: ann })
  await r.get('credential.usages', `${credential('temporary')}/usages`, { as: ann })

  const weather = `/api/v1/projects/${idOf(world, 'weather')}`
  await r.delete('project', weather, { as: ann })
  await r.get('project.after', weather, { as: ann })
  await r.get('project.token', `/api/v1/app-credentials/by-project/${idOf(world, 'weather')}`, {
    as: tokens['weather-all']
  })
  await r.get('project.credential', credential('mailer'), { as: ann })
  await r.delete('type.in-use', `/api/v1/credential-types/${idOf(world, 'everything')}`, { as: ann })
  await r.delete('type', `/api/v1/credential-types/${idOf(world, 'large')}`, { as: ann })

  await r.put('administrator.demoted', of('rita'), { as: admin, json: { role: 'user' } })
  await r.get('administrator.demoted-list', '/api/v1/users', { as: rita })
  const self = of('admin')
  await r.put('administrator.last-demoted', self, { as: admin, json: { role: 'user' } })
  await r.put('administrator.last-disabled', self, { as: admin, json: { disabled: true } })
  await r.delete('administrator.last-deleted', self, { as: admin })
  await r.delete('user.with-types', of('bob'), { as: admin })
  await r.post('transfer-away', `${credential('mailer-of-cem')}/transfer`, {
    as: cem,
    json: { email: 'ann@example.org' }
  })
}
