import { setTimeout as sleep } from 'node:timers/promises'
import type { Operation } from '../coverage.ts'
import type { Exchange, Options, Recorder } from '../recorder.ts'
import { idOf, MAIL_KEYS, NO_ID, PASSWORD, SMTP, type World } from '../world.ts'

/** Valid bodies: a request is refused for the reason under test. None is sent where it could succeed. */
const BODIES: Record<string, object> = {
  createSession: { email: 'nobody@example.org', password: PASSWORD },
  changePassword: { currentPassword: PASSWORD, newPassword: PASSWORD },
  createAccessToken: { name: 'No', scopes: ['audit:read'] },
  createUser: { email: 'no@example.org', name: 'No', password: PASSWORD },
  updateUser: { name: 'No' },
  patchUser: { name: 'No' },
  createProject: { name: 'No' },
  updateProject: { name: 'No' },
  patchProject: { name: 'No' },
  addProjectMember: { email: 'eve@example.org', role: 'viewer' },
  changeProjectMember: { role: 'viewer' },
  createCredentialType: { typeName: 'No', fields: [{ fieldName: 'a', fieldLabel: 'a', fieldType: 'text' }] },
  updateCredentialType: { typeName: 'No' },
  patchCredentialType: { typeName: 'No' },
  createAppCredential: { credentialName: 'No', credentialTypeId: SMTP, keys: MAIL_KEYS },
  updateAppCredential: { description: 'No' },
  patchAppCredential: { description: 'No' },
  assignProjects: { projectIds: [] },
  putEnvironment: { keys: MAIL_KEYS },
  patchEnvironment: { values: { host: 'no' } },
  transferAppCredential: { email: 'bob@example.org' },
  resolveCredentials: { credentials: [{ id: NO_ID }] },
  lightningCreateCredential: { name: 'No', body: {} }
}

/** Scopes that a project token may have. */
const OF_PROJECTS = new Set(['credentials:read', 'credentials:resolve', 'usages:write'])

/** Sends invalid requests to every operation. An answer that several operations share is stored once. */
export async function refusals(r: Recorder, world: World, operations: readonly Operation[]): Promise<void> {
  r.area('refusals')
  const ann = { as: world.people.ann }
  await createResources(r, world)
  const json = { 'content-type': 'application/json' }
  const body = (text: string, headers: Options['headers'] = json): Options => ({
    ...ann,
    body: text,
    headers
  })
  const pathOf = (path: string, id?: string) =>
    path
      .replace('{userId}', idOf(world, 'dora'))
      .replace('{projectId}', id ?? idOf(world, 'refused-project'))
      .replace('{environment}', 'staging')
      .replace('{consumer}', 'job')
      .replace('{id}', id ?? idOf(world, resourceAt(path)))

  async function each(
    name: string,
    among: readonly Operation[],
    request: (operation: Operation) => Options & { method?: string; path?: string }
  ): Promise<void> {
    const groups = new Map<string, Exchange>()
    for (const operation of among) {
      const { method = operation.method, path = pathOf(operation.path), ...options } = request(operation)
      const step = `${name}.${operation.operationId}`
      const { exchange } = await r.exchange(step, method, path, options)
      const { requests, ...answer } = exchange
      const key = JSON.stringify(answer)
      const group = groups.get(key)
      if (group) group.requests.push(...requests)
      else groups.set(key, exchange)
    }
    let number = 0
    for (const group of groups.values()) r.keep(++number === 1 ? name : `${name}.${number}`, group)
  }

  const guarded = operations.filter(({ security }) => security.length > 0)
  const changes = operations.filter(({ method }) => method !== 'GET')
  const guardedChanges = changes.filter(({ security }) => security.length > 0)
  const withBody = changes.filter(
    ({ requestBody, operationId }) => requestBody && operationId !== 'revealAppCredential'
  )
  const withId = guarded.filter(({ path }) => /\{(id|projectId)\}/.test(path))
  const reads = operations.filter(({ method }) => method === 'GET')
  const strict = operations.filter(({ path }) => !/^\/api\/(?!v1\/)/.test(path))
  const valid = ({ operationId }: Operation): Options =>
    BODIES[operationId] ? { json: BODIES[operationId] } : {}
  const scopesOf = ({ security }: Operation) => security.flatMap(({ bearerToken = [] }) => bearerToken)

  await each('nobody', guarded, () => ({}))
  await each('bad-cookie', guarded, () => ({ headers: { cookie: 'latchkey_session=nonsense' } }))
  await each('bad-token', guarded, () => ({ headers: { authorization: 'Bearer nonsense' } }))
  await each('revoked-token', guarded, () => ({ as: world.tokens['ann-revoked'] }))
  await sleep(Math.max(0, world.expiry + 10 - Date.now()))
  await each('expired-token', guarded, () => ({ as: world.tokens['ann-expired'] }))
  await each('no-scope', guarded, (operation) => ({
    ...valid(operation),
    as: world.tokens[scopesOf(operation).includes('audit:read') ? 'ann-read' : 'ann-audit']
  }))
  await each(
    'project-token',
    guarded.filter((one) => !scopesOf(one).some((scope) => OF_PROJECTS.has(scope))),
    (operation) => ({
      ...valid(operation),
      as: world.tokens['mail-all']
    })
  )
  await each('cross-site', guardedChanges, (operation) => ({
    ...valid(operation),
    ...ann,
    headers: { 'sec-fetch-site': 'cross-site' }
  }))
  await each('foreign-origin', guardedChanges, (operation) => ({
    ...valid(operation),
    ...ann,
    headers: { origin: 'https://evil.example.org' }
  }))
  // The Lightning-compatible API ignores unknown query parameters.
  await each('unknown-query', strict, (operation) => ({
    ...valid(operation),
    ...ann,
    path: `${pathOf(operation.path)}?nonsense=1`
  }))
  await each('malformed-url', operations, (operation) => ({
    ...valid(operation),
    ...ann,
    path: `${pathOf(operation.path)}?%zz`
  }))
  await each('two-tokens', operations, (operation) => ({
    ...valid(operation),
    headers: { Authorization: ['Bearer one', 'Bearer two'] }
  }))
  await each('stranger', withId, (operation) => ({ ...valid(operation), as: world.people.eve }))
  await each('unknown-id', withId, (operation) => ({
    ...valid(operation),
    ...ann,
    path: pathOf(operation.path, NO_ID)
  }))
  await each('no-id', withId, (operation) => ({
    ...valid(operation),
    ...ann,
    path: pathOf(operation.path, 'nonsense')
  }))
  await each('nul-in-id', withId, (operation) => ({
    ...valid(operation),
    ...ann,
    path: pathOf(operation.path, '%00')
  }))
  await each('malformed-json', changes, () => body('{"name":'))
  await each('key-twice', changes, () => body('{"name":1,"name":2}'))
  await each('not-utf8', changes, () => ({ ...ann, body: Buffer.from([0x22, 0xff, 0x22]), headers: json }))
  await each('empty-body', withBody, () => body(''))
  await each('no-body', withBody, () => ann)
  await each('array-body', withBody, () => body('[]'))
  await each('null-body', withBody, () => body('null'))
  await each('unknown-property', withBody, (operation) => ({
    ...ann,
    json: operation.path.startsWith('/api/credentials')
      ? { nonsense: 1 }
      : { ...BODIES[operation.operationId], nonsense: 1 }
  }))
  await each('wrong-types', withBody, (operation) => ({
    ...ann,
    json: Object.fromEntries(
      Object.keys(BODIES[operation.operationId] ?? { name: 1 }).map((key) => [key, false])
    )
  }))
  await each('text-body', changes, () => body('{}', { 'content-type': 'text/plain' }))
  await each('latin-body', changes, () => body('{}', { 'content-type': 'application/json; charset=latin1' }))
  await each('gzip-body', changes, () => body('{}', { ...json, 'content-encoding': 'gzip' }))
  await each('large-body', changes, () => body('{', { ...json, 'content-length': 1_048_577 }))
  await each('head', reads, () => ({ ...ann, method: 'HEAD' }))
}

/** Creates resources for this area alone, so that the audit log of the others stays short. */
async function createResources(r: Recorder, { people, ids }: World): Promise<void> {
  const make = async (name: string, path: string, json: object, as = people.ann) => {
    ids[name] = (await r.quietly('POST', path, { as, json, name })).json.id
  }
  await make('refused-project', '/api/v1/projects', { name: 'Refused' })
  const projectId = ids['refused-project']
  await r.quietly('POST', `/api/v1/projects/${projectId}/members`, {
    as: people.ann,
    json: { email: 'dora@example.org', role: 'viewer' }
  })
  await make('refused-type', '/api/v1/credential-types', {
    ...BODIES['createCredentialType'],
    typeName: 'Refused'
  })
  await make('refused', '/api/v1/app-credentials', {
    ...BODIES['createAppCredential'],
    credentialName: 'Refused',
    projectIds: [projectId]
  })
  await r.quietly('PUT', `/api/v1/app-credentials/${ids['refused']}/environments/staging`, {
    as: people.ann,
    json: { keys: MAIL_KEYS }
  })
  await make('refused-token', '/api/v1/access-tokens', { name: 'Refused', scopes: ['audit:read'] })
  await make('refused-user', '/api/v1/users', { ...BODIES['createUser'], name: 'Refused' }, people.admin)
}

function resourceAt(path: string): string {
  if (path.includes('/projects/')) return 'refused-project'
  if (path.includes('/users/')) return 'refused-user'
  if (path.includes('/access-tokens/')) return 'refused-token'
  if (path.includes('/credential-types/')) return 'refused-type'
  if (path.includes('/sessions/')) return 'refused-user'
  return 'refused'
}
