import type { Recorder } from '../recorder.ts'
import { idOf, NO_ID, type World } from '../world.ts'

const path = '/api/credentials'

/** The API for clients of OpenFn Lightning. */
export async function lightning(r: Recorder, world: World): Promise<void> {
  r.area('lightning')
  const { ann, bob, cem, dora, eve } = world.people
  const { ids, tokens } = world
  const mail = idOf(world, 'mail')
  const link = (id: unknown) => ({ project_credentials: [{ project_id: id }] })
  const make = async (as: typeof ann, name: string, json: object) => {
    ids[name] = (await r.post(`create.${name}`, path, { as, json, name })).json.credential.id
  }
  await make(ann, 'raw-body', { name: 'My API key', body: { apiKey: 'secret123', '2': 1, '1': null } })
  await make(tokens['ann-write']!, 'typed-body', {
    name: '  Typed  ',
    schema: 'SMTP',
    body: { host: 'h', user: 'u', password: 'p', port: 25 },
    external_id: 'ext-1',
    nonsense: { ignored: true },
    ...link(mail)
  })
  await make(cem, 'environments-body', {
    name: 'Environments',
    body: { a: 1 },
    credential_bodies: [{ name: 'staging', body: { a: 2 }, ignored: 1 }],
    ...link(mail.toUpperCase())
  })
  await make(ann, 'cast-body', {
    name: 'Warehouse',
    schema: 'postgresql',
    body: { host: 'h', port: '5433', ssl: 'false', database: 'd', user: '', schema: 'public', ca: null }
  })
  await make(ann, 'other-schema', { name: 'CRM', schema: 'salesforce', body: { securityToken: 't' } })
  await make(ann, 'staging-alone', { name: 'a staging', credential_bodies: [{ name: 'staging', body: {} }] })
  const once = { as: ann, json: { name: 'Once more', body: { a: 1 } }, headers: { 'idempotency-key': 'l' } }
  ids['once-lightning'] = (
    await r.post('create.idempotent', path, { ...once, name: 'once-lightning' })
  ).json.credential.id
  await r.post('create.replayed', path, once)
  await r.post('create.key-reused', path, { ...once, json: { name: 'Twice more', body: {} } })
  await r.post('create.key-bad', path, { ...once, headers: { 'idempotency-key': 'a b' } })
  const json = { name: 'New', body: { a: 1 } }
  for (const [name, change] of Object.entries({
    'no-name': { name: undefined },
    'blank-name': { name: ' ' },
    'name-of-wrong-type': { name: 1 },
    'long-name': { name: 'a'.repeat(201) },
    'name-taken': { name: 'MY api key' },
    'external-id-taken': { external_id: 'ext-1' },
    'external-id-of-wrong-type': { external_id: 1 },
    'no-body': { body: undefined },
    'null-body': { body: null },
    'array-body': { body: [] },
    'large-body': { body: { a: 'a'.repeat(65_600) } },
    'bodies-not-a-list': { credential_bodies: {} },
    'bodies-empty': { body: undefined, credential_bodies: [] },
    'bodies-of-wrong-type': { credential_bodies: [1] },
    'bodies-bad-name': { credential_bodies: [{ name: 'No!', body: {} }] },
    'bodies-no-body': { credential_bodies: [{ name: 'staging' }] },
    'bodies-twice': { credential_bodies: [{ name: 'main', body: {} }] },
    'bodies-too-many': {
      credential_bodies: Array.from({ length: 33 }, (_, i) => ({ name: `e${i}`, body: {} }))
    },
    'long-schema': { schema: 'a'.repeat(201) },
    'schema-of-wrong-type': { schema: 1 },
    'unknown-field': { schema: 'smtp', body: { nonsense: 1 } },
    'missing-field': { schema: 'smtp', body: { user: 'a' } },
    'wrong-field': { schema: 'smtp', body: { host: 1 } },
    'projects-not-a-list': { project_credentials: {} },
    'bad-project': link('nonsense'),
    'unknown-project': link(NO_ID),
    'forbidden-project': link(idOf(world, 'secret-project'))
  }))
    await r.post(`create.${name}`, path, { as: ann, json: { ...json, ...change } })
  await r.post('create.by-viewer', path, { as: dora, json: { ...json, ...link(mail) } })
  await r.post('create.array', path, { as: ann, json: [] })
  await r.post('create.null', path, { as: ann, json: null })
  await r.post('create.no-content', path, { as: ann })
  await r.post('create.query', `${path}?nonsense=1`, { as: ann, json: {} })
  await r.post('create.by-read-token', path, { as: tokens['ann-read'], json })
  await r.post('create.by-project-token', path, { as: tokens['mail-all'], json })

  await r.get('list', path, { as: ann })
  await r.get('list.by-token', path, { as: tokens['ann-read'] })
  await r.get('list.project', `${path}?project_id=${mail}`, { as: dora })
  await r.get('list.not-member', `${path}?project_id=${mail}`, { as: eve })
  await r.get('list.unknown-project', `${path}?project_id=${NO_ID}`, { as: ann })
  await r.get('list.bad-project', `${path}?project_id=nonsense`, { as: ann })
  await r.get('list.empty-project', `${path}?project_id=`, { as: ann })
  await r.get('list.two-projects', `${path}?project_id=${mail}&project_id=${mail}`, { as: ann })
  await r.get('list.unknown-query', `${path}?nonsense=1`, { as: bob })
  await r.get('list.nul', `${path}?project_id=%00`, { as: ann })
  await r.get('list.by-project-token', path, { as: tokens['mail-read'] })
  await r.get('project', `/api/projects/${mail}/credentials?nonsense=1`, { as: dora })
  await r.get('project.by-token', `/api/projects/${mail}/credentials`, { as: tokens['ann-read'] })
  await r.get('project.not-member', `/api/projects/${mail}/credentials`, { as: eve })
  await r.get('project.unknown', `/api/projects/${NO_ID}/credentials`, { as: ann })
  await r.get('project.no-id', '/api/projects/nonsense/credentials', { as: ann })
  await r.get('project.nul', '/api/projects/%00/credentials', { as: ann })

  const of = (name: string) => `${path}/${idOf(world, name)}`
  await r.get('get', of('raw-body'), { as: ann })
  await r.get('v1', `/api/v1/app-credentials/${idOf(world, 'typed-body')}`, { as: ann })
  await r.put('usage', `/api/v1/app-credentials/${idOf(world, 'typed-body')}/usages/job`, { as: ann })
  await r.delete('delete.in-use', of('typed-body'), { as: ann })
  await r.delete('delete.by-member', of('typed-body'), { as: bob })
  await r.delete('delete.by-nobody', of('raw-body'), { as: eve })
  await r.delete('delete.unknown', `${path}/${NO_ID}`, { as: ann })
  await r.delete('delete.no-id', `${path}/nonsense`, { as: ann })
  await r.delete('delete.query', `${path}/${NO_ID}?nonsense=1`, { as: ann })
  await r.delete('delete.nul', `${path}/%00`, { as: ann })
  await r.delete('delete.by-read-token', of('raw-body'), { as: tokens['ann-read'] })
  await r.delete('delete', of('raw-body'), { as: ann })
  await r.delete('delete.again', of('raw-body'), { as: ann })
  await r.delete('delete.by-token', of('once-lightning'), { as: tokens['ann-write'] })
}
