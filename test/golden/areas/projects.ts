import type { Recorder } from '../recorder.ts'
import { idOf, NO_ID, type World } from '../world.ts'

const path = '/api/v1/projects'

export async function projects(r: Recorder, world: World): Promise<void> {
  r.area('projects')
  const { people, ids } = world
  const { ann, bob, cem, dora, eve, admin } = people
  const make = async (as: typeof ann, name: string, json: object) => {
    ids[name] = (await r.post(`create.${name}`, path, { as, json, name })).json.id
  }
  await make(ann, 'mail', { name: 'Mail', description: 'Sends mail' })
  await make(ann, 'weather', { name: 'Weather 100%', description: null })
  await make(eve, 'secret-project', { name: 'Mail' })
  await make(ann, 'brief', { name: 'Brief' })
  const once = { as: ann, json: { name: 'Once' }, headers: { 'idempotency-key': 'once' } }
  ids['once'] = (await r.post('create.idempotent', path, { ...once, name: 'once' })).json.id
  await r.post('create.replayed', path, once)
  await r.post('create.key-reused', path, { ...once, json: { name: 'Twice' } })
  for (const [name, json] of Object.entries({
    'no-name': {},
    'null-name': { name: null },
    'blank-name': { name: '\u00a0' },
    'long-name': { name: 'a'.repeat(201) },
    'long-description': { name: 'a', description: 'a'.repeat(2001) },
    'description-of-wrong-type': { name: 'a', description: 1 },
    'unknown-property': { name: 'a', role: 'owner' }
  }))
    await r.post(`create.${name}`, path, { as: ann, json })

  await r.post('create.name-taken', path, { as: ann, json: { name: ' MAIL' } })

  const mail = `${path}/${ids['mail']}`
  await r.put('update.name-taken', mail, { as: ann, json: { name: 'brief' } })
  await r.get('list', path, { as: ann })
  await r.get('list.of-nobody', path, { as: bob })
  await r.get('list.admin', path, { as: admin })
  await r.get('list.page', `${path}?page=2&pageSize=2`, { as: ann })
  await r.get('list.search', `${path}?search=MA`, { as: ann })
  await r.get('list.percent', `${path}?search=%25`, { as: ann })
  await r.get('list.bad-page', `${path}?page=0`, { as: ann })
  await r.get('get', mail, { as: ann })
  await r.get('get.not-member', mail, { as: bob })
  await r.get('get.admin', mail, { as: admin })
  await r.get('get.unknown', `${path}/${NO_ID}`, { as: ann })
  await r.get('get.no-id', `${path}/nonsense`, { as: ann })

  r.area('members')
  const members = `${mail}/members`
  const add = (name: string, as: typeof ann, email: string, role: unknown) =>
    r.post(name, members, { as, json: { email, role } })
  await add('add.bob', ann, 'bob@example.org', 'admin')
  await add('add.cem', bob, 'CEM@example.org', 'editor')
  await add('add.dora', bob, 'dora@example.org', 'viewer')
  await add('add.already', ann, 'bob@example.org', 'viewer')
  await add('add.unknown-email', ann, 'nobody@example.org', 'viewer')
  await add('add.bad-email', ann, 'nonsense', 'viewer')
  await add('add.unknown-role', ann, 'eve@example.org', 'king')
  await add('add.no-role', ann, 'eve@example.org', undefined)
  await add('add.owner-by-admin', bob, 'eve@example.org', 'owner')
  await add('add.by-editor', cem, 'eve@example.org', 'viewer')
  await add('add.by-viewer', dora, 'eve@example.org', 'viewer')
  await add('add.by-nobody', eve, 'eve@example.org', 'viewer')
  await add('add.by-administrator', admin, 'eve@example.org', 'viewer')
  const once2 = {
    as: ann,
    json: { email: 'rita@example.org', role: 'owner' },
    headers: { 'idempotency-key': 'rita' }
  }
  await r.post('add.idempotent', members, once2)
  await r.post('add.replayed', members, once2)
  await r.post('add.key-reused', `${path}/${ids['weather']}/members`, once2)
  await r.post('add.unknown', `${path}/${NO_ID}/members`, once2)
  await r.post('add.no-id', `${path}/nonsense/members`, once2)

  await r.get('list', members, { as: dora })
  await r.get('list.not-member', members, { as: eve })
  await r.get('list.unknown', `${path}/${NO_ID}/members`, { as: ann })
  await r.get('list.query', `${members}?colour=red`, { as: ann })

  const of = (name: string) => `${members}/${idOf(world, name)}`
  await r.put('change', of('cem'), { as: bob, json: { role: 'viewer' } })
  await r.put('change.back', of('cem'), { as: ann, json: { role: 'editor' } })
  await r.put('change.owner-by-admin', of('rita'), { as: bob, json: { role: 'viewer' } })
  await r.put('change.to-owner-by-admin', of('cem'), { as: bob, json: { role: 'owner' } })
  await r.put('change.by-editor', of('dora'), { as: cem, json: { role: 'editor' } })
  await r.put('change.not-member', of('eve'), { as: ann, json: { role: 'editor' } })
  await r.put('change.no-id', `${members}/nonsense`, { as: ann, json: { role: 'editor' } })
  await r.put('change.bad-role', of('cem'), { as: ann, json: { role: '' } })
  await r.put('change.owner', of('rita'), { as: ann, json: { role: 'admin' } })
  await r.put('change.last-owner', of('ann'), { as: ann, json: { role: 'admin' } })

  await r.delete('remove.by-editor', of('dora'), { as: cem })
  await r.delete('remove.owner-by-admin', of('ann'), { as: bob })
  await r.delete('remove.last-owner', of('ann'), { as: ann })
  await r.delete('remove.not-member', of('eve'), { as: ann })
  await r.delete('remove.no-id', `${members}/nonsense`, { as: ann })
  await r.delete('remove.by-nobody', of('dora'), { as: eve })
  await r.delete('remove', of('rita'), { as: bob })
  await r.delete('remove.again', of('rita'), { as: bob })
  await r.delete('leave', of('dora'), { as: dora })
  await r.quietly('POST', members, { as: ann, json: { email: 'dora@example.org', role: 'viewer' } })

  r.area('project-changes')
  await r.put('update', mail, { as: ann, json: { name: 'Mail out', description: null } })
  await r.put('update.description', mail, { as: bob, json: { description: 'By an admin' } })
  await r.put('update.nothing', mail, { as: bob, json: {} })
  await r.put('update.by-editor', mail, { as: cem, json: { name: 'No' } })
  await r.put('update.by-nobody', mail, { as: eve, json: { name: 'No' } })
  await r.put('update.null-name', mail, { as: ann, json: { name: null } })
  await r.put('update.long-name', mail, { as: ann, json: { name: 'a'.repeat(201) } })
  await r.put('update.unknown-property', mail, { as: ann, json: { id: NO_ID } })
  await r.put('update.unknown', `${path}/${NO_ID}`, { as: ann, json: { name: 'No' } })
  await r.delete('delete.by-admin', mail, { as: bob })
  await r.delete('delete.by-nobody', mail, { as: eve })
  await r.delete('delete', `${path}/${ids['brief']}`, { as: ann })
  await r.delete('delete.again', `${path}/${ids['brief']}`, { as: ann })
  await r.get('get.as-viewer', mail, { as: dora })
}
