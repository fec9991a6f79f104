import { eventually } from '../../helpers/eventually.ts'
import { bearer, type Caller, type Recorder } from '../recorder.ts'
import { idOf, NO_ID, type World } from '../world.ts'

const path = '/api/v1/access-tokens'
const PERSONAL = ['credentials:read', 'credentials:write', 'credentials:reveal', 'audit:read']
const PROJECT = ['credentials:read', 'credentials:resolve', 'usages:write']

export async function tokens(r: Recorder, world: World): Promise<void> {
  r.area('tokens')
  const { ann, bob, cem, eve, admin } = world.people
  const projectId = idOf(world, 'mail')
  const make = async (as: typeof ann, name: string, json: object) => {
    const { json: made } = await r.post(`create.${name}`, path, { as, json: { name, ...json }, name })
    world.ids[name] = made.id
    world.tokens[name] = bearer(made.token)
  }
  await make(ann, 'ann-all', { scopes: PERSONAL })
  await make(ann, 'ann-read', { scopes: ['credentials:read'], expiresAt: '2099-01-01T00:00:00.000Z' })
  await make(ann, 'ann-write', { scopes: ['credentials:write'], expiresAt: '2099-01-01T02:00:00+02:00' })
  await make(ann, 'ann-reveal', { scopes: ['credentials:reveal'], expiresAt: null })
  await make(ann, 'ann-audit', { scopes: ['audit:read'] })
  await make(ann, 'ann-revoked', { scopes: PERSONAL })
  await make(admin, 'admin-all', { scopes: PERSONAL })
  await make(ann, 'mail-all', { scopes: PROJECT, projectId })
  await make(bob, 'mail-resolve', { scopes: ['credentials:resolve'], projectId })
  await make(bob, 'mail-read', { scopes: ['credentials:read'], projectId })
  await make(ann, 'mail-usages', { scopes: ['usages:write'], projectId })
  await make(ann, 'weather-all', { scopes: PROJECT, projectId: idOf(world, 'weather') })
  // It has expired by the time of `refusals`.
  world.expiry = Date.now() + 2_000
  await make(ann, 'ann-expired', { scopes: PERSONAL, expiresAt: new Date(world.expiry).toISOString() })

  const json = { name: 'once', scopes: ['credentials:read'] }
  const once = { as: ann, json, headers: { 'idempotency-key': 'token' } }
  await r.post('create.idempotent', path, { ...once, name: 'once-token' })
  await r.post('create.replayed', path, once)
  await r.post('create.key-reused', path, { ...once, json: { ...json, name: 'twice' } })
  for (const [name, change] of Object.entries({
    'no-name': { name: undefined },
    'blank-name': { name: ' ' },
    'no-scopes': { scopes: undefined },
    'empty-scopes': { scopes: [] },
    'unknown-scope': { scopes: ['everything'] },
    'scope-twice': { scopes: ['audit:read', 'audit:read'] },
    'scopes-of-wrong-type': { scopes: 'audit:read' },
    'scope-of-projects': { scopes: ['credentials:read', 'credentials:resolve'] },
    'scope-of-people': { scopes: ['audit:read'], projectId },
    'past-expiry': { expiresAt: '2020-01-01T00:00:00.000Z' },
    'bad-expiry': { expiresAt: 'tomorrow' },
    'no-zone': { expiresAt: '2099-01-01T00:00:00' },
    'impossible-expiry': { expiresAt: '2099-02-30T00:00:00.000Z' },
    'null-project': { projectId: null },
    'bad-project': { projectId: 'nonsense' },
    'unknown-project': { projectId: NO_ID },
    'unknown-property': { token: 'lk_pat_mine' }
  }))
    await r.post(`create.${name}`, path, { as: ann, json: { ...json, ...change } })
  await r.post('create.by-editor', path, { as: cem, json: { ...json, projectId } })
  await r.post('create.by-nobody', path, { as: eve, json: { ...json, projectId } })
  await r.post('create.by-token', path, { as: world.tokens['ann-all'], json })
  await r.post('create.by-project-token', path, { as: world.tokens['mail-all'], json })

  await r.get('use', '/api/v1/projects', { as: world.tokens['ann-read'] })
  await r.get('use.lower-case-scheme', '/api/v1/projects', {
    headers: { authorization: world.tokens['ann-read']!['authorization']!.replace('Bearer', 'bearer') }
  })
  await r.get('use.changed', '/api/v1/projects', {
    headers: { authorization: `${world.tokens['ann-read']!['authorization']}x` }
  })
  await r.get('use.no-session', '/api/v1/session', { as: world.tokens['ann-all'] })
  // Uses are written after their requests: two of Ann's tokens, and one of the project.
  await usesWritten(r, ann, path, 2)
  await usesWritten(r, bob, `${path}?projectId=${projectId}`, 1)
  await r.get('list', path, { as: ann })
  await r.get('list.project', `${path}?projectId=${projectId}`, { as: bob })
  await r.get('list.by-editor', `${path}?projectId=${projectId}`, { as: cem })
  await r.get('list.by-nobody', `${path}?projectId=${projectId}`, { as: eve })
  await r.get('list.unknown-project', `${path}?projectId=${NO_ID}`, { as: ann })
  await r.get('list.bad-project', `${path}?projectId=nonsense`, { as: ann })
  await r.get('list.none', path, { as: eve })
  await r.get('list.by-token', path, { as: world.tokens['ann-all'] })

  await r.delete('revoke', `${path}/${idOf(world, 'ann-revoked')}`, { as: ann })
  await r.delete('revoke.again', `${path}/${idOf(world, 'ann-revoked')}`, { as: ann })
  await r.delete('revoke.another', `${path}/${idOf(world, 'ann-read')}`, { as: bob })
  await r.delete('revoke.by-editor', `${path}/${idOf(world, 'mail-all')}`, { as: cem })
  await r.delete('revoke.unknown', `${path}/${NO_ID}`, { as: ann })
  await r.delete('revoke.no-id', `${path}/nonsense`, { as: ann })
  await r.delete('revoke.by-token', `${path}/${idOf(world, 'ann-all')}`, { as: world.tokens['ann-all'] })
  await r.get('revoked', '/api/v1/projects', { as: world.tokens['ann-revoked'] })
}

const usesWritten = (r: Recorder, as: Caller, list: string, count: number) =>
  eventually(async () => {
    const { json } = await r.quietly('GET', list, { as })
    const used = json.data.filter(({ lastUsedAt }: { lastUsedAt: string | null }) => lastUsedAt !== null)
    return used.length === count
  }, 'all uses are written')
