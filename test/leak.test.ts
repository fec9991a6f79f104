import { randomInt, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { startTestApp, type TestApp } from './helpers/app.ts'
import {
  Canaries,
  type Column,
  formsOf,
  randomWord,
  readAllColumns,
  type Sighting
} from './helpers/canary.ts'
import type { Client, RequestOptions } from './helpers/client.ts'
import type { Contract, Parameter } from './helpers/contract.ts'
import { addMember, newProject, newType, uniqueName } from './helpers/fixtures.ts'
import { send, sendRawBytes } from './helpers/raw-request.ts'
import { newToken } from './helpers/tokens.ts'

/**
 * `secret`: a value of a secret field. `plain`: a value of another field. `sent`: in a refused request, so it
 * may appear nowhere. `control`: inserted by the test, to show that it searches there.
 */
type Kind = 'secret' | 'plain' | 'password' | 'cookie' | 'token' | 'user-agent' | 'key' | 'sent' | 'control'

/** One response, as received. */
interface Seen {
  operationId: string
  status: number
  headers: [name: string, value: string][]
  text: string
}

const path = '/api/v1/app-credentials'
const METHODS = new Set(['get', 'post', 'put', 'delete', 'patch'])
/** Operations that cannot be refused. */
const NEVER_REFUSED = new Set(['getLiveness', 'getReadiness'])

interface Operation {
  operationId: string
  method: string
  path: string
  parameters: { name: string; in: string }[]
  properties: string[]
}

function operationsOf(contract: Contract): Operation[] {
  // biome-ignore lint/suspicious/noExplicitAny: the document has no type here
  const { paths, components } = contract.document as any
  return Object.entries<object>(paths).flatMap(([path, methods]) =>
    // biome-ignore lint/suspicious/noExplicitAny: as above
    Object.entries<any>(methods)
      .filter(([method]) => METHODS.has(method))
      .map(([method, { operationId, parameters = [], requestBody }]) => {
        const { $ref } = requestBody?.content['application/json'].schema ?? {}
        const properties = $ref
          ? Object.keys(components.schemas[$ref.split('/').at(-1)].properties ?? {})
          : []
        return {
          operationId,
          method: method.toUpperCase(),
          path,
          parameters: parameters.map((one: Parameter) => contract.resolved(one)),
          properties
        }
      })
  )
}

/** Records every response that `fetch` returns in this process. */
function keepAnswers(t: Test, operationOf: (method: string, path: string) => string): Seen[] {
  const seen: Seen[] = []
  const fetched = globalThis.fetch
  globalThis.fetch = async (url, init) => {
    const response = await fetched(url, init)
    const text = await response.clone().text()
    const operationId = operationOf(init?.method ?? 'GET', new URL(String(url)).pathname)
    seen.push({ operationId, status: response.status, headers: [...response.headers], text })
    return response
  }
  t.teardown(() => {
    globalThis.fetch = fetched
  })
  return seen
}

t.test('the search finds values in every encoding', async (t) => {
  for (const value of [randomWord(), `a"\\/\n<&>% +=é${randomWord()}`, randomWord(60_000)]) {
    const canaries = new Canaries()
    canaries.plant('secret', 'a value', value)
    canaries.plant('secret', 'another value')
    const forms = formsOf(value.length > 1000 ? value.slice(0, 40) : value)
    t.ok(forms.length > 12)
    for (const [form, text] of forms) {
      const [found, ...others] = canaries.find(`{"before":"${text}","after":"x"}`)
      t.equal(found?.canary.value, value, form)
      t.ok(others.every(({ canary }) => canary.value === value))
      t.ok(canaries.find(`x${text.toUpperCase()}`).length > 0, `${form}, in uppercase`)
    }
    for (const around of ['', 'x', 'xy']) {
      const bytes = Buffer.from(`${around}${value}${around}z`)
      for (const encoding of ['base64', 'base64url', 'hex', 'utf8'] as const) {
        t.ok(canaries.find(`text ${bytes.toString(encoding)} text`).length > 0, `${encoding} after ${around}`)
      }
      t.ok(canaries.find(bytes).length > 0, 'bytes')
    }
    const inAString = JSON.stringify({ line: JSON.stringify({ value }) })
    t.ok(canaries.find(inAString).length > 0, 'JSON in JSON')
    t.ok(canaries.find(new URLSearchParams({ value }).toString()).length > 0, 'a form')
    t.same(canaries.find(`nothing ${randomWord(200)} here`), [])
  }
  const long = randomWord(5000)
  const canaries = new Canaries()
  canaries.plant('secret', 'long', long)
  t.ok(canaries.find(`${long.slice(0, 60)}…`).length > 0, 'the beginning of a long value')
  t.ok(canaries.find(`…${long.slice(-60)}`).length > 0, 'the end of a long value')
})

t.test('values that are sent appear only where the API returns them', async (t) => {
  const service = await startTestApp(t)
  const canaries = new Canaries<Kind>()
  const operations = operationsOf(service.contract)
  t.ok(operations.length > 40, 'the document was read')
  const routes = operations
    .map(({ method, path, operationId }) => ({
      operationId,
      method,
      depth: path.split('{').length,
      pattern: new RegExp(`^${path.replace(/\{[^}]+\}/g, '[^/]+')}$`)
    }))
    .sort((a, b) => a.depth - b.depth)
  const operationOf = (method: string, path: string) =>
    routes.find((one) => one.method === method && one.pattern.test(path))?.operationId ?? 'none'
  const seen = keepAnswers(t, operationOf)
  const dumps: Column[] = []
  const dump = async () => dumps.push(...(await readAllColumns(service.db)))
  const context: Context = { service, canaries, operations, seen, dump }

  await t.test('valid requests', (t) => sendValid(t, context))
  await t.test('refused requests', (t) => sendRefused(t, context))
  await t.test('requests that fail inside of the service', (t) => sendDuringFaults(t, context))
  await t.test('invalid requests to every operation', (t) => sendInvalidToAll(t, context))
  await t.test('unreadable requests', (t) => sendUnreadable(t, context))
  await plantControls(context)
  await dump()

  const all = operations.map(({ operationId }) => operationId).sort()
  const having = (fits: (one: Seen) => boolean) =>
    new Set(seen.filter(fits).map(({ operationId }) => operationId))
  const done = having(({ status }) => status < 300)
  const refused = having(({ status }) => status >= 400)
  t.same(
    all.filter((one) => !done.has(one)),
    [],
    'every operation succeeded: add new ones here'
  )
  t.same(
    all.filter((one) => !refused.has(one) && !NEVER_REFUSED.has(one)),
    [],
    'every operation was refused'
  )
  const statuses = new Set(seen.map(({ status }) => status))
  for (const status of [400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 500, 503])
    t.ok(statuses.has(status), `there was a response with ${status}`)

  const promised = new Set<string>()
  const leaks = new Set<string>()
  const look = (found: Sighting<Kind>[], where: string, may: (kind: Kind) => boolean) => {
    for (const { canary, form } of found) {
      if (may(canary.kind)) promised.add(canary.value)
      else leaks.add(`${canary.kind} (${canary.label}), ${form}: in ${where}`)
    }
  }

  for (const answer of seen) {
    const { operationId, status, headers } = answer
    const place = `the response ${status} of ${operationId}`
    const { slots, rest } = parted(answer)
    look(
      canaries.find(rest),
      place,
      (kind) => status === 200 && kind === 'user-agent' && SHOWS_AGENTS.has(operationId)
    )
    if (slots)
      look(canaries.find(slots), `${place}, in its place`, (kind) => PROMISED[operationId]!.includes(kind))
    for (const [name, value] of headers) {
      const isCookie = name === 'set-cookie' && operationId === 'createSession' && status === 200
      look(canaries.find(`${name}: ${value}`), `${place}, ${name}`, (kind) => isCookie && kind === 'cookie')
    }
  }
  t.ok(service.log.length > 500, 'the log has lines')
  for (const line of service.log)
    look(canaries.find(line), `the log, ${msgOf(line)}`, (kind) => kind === 'control')
  t.ok(
    service.log.some((line) => line.includes('"trace"')),
    'the log is at trace level'
  )

  const inTables: Record<string, Kind> = {
    'sessions.user_agent': 'user-agent',
    'audit_log.user_agent': 'user-agent',
    // The first partition of `audit_log`.
    'audit_events.user_agent': 'user-agent',
    'idempotency_keys.key': 'key'
  }
  for (const { name, text, raw } of dumps) {
    const may = (kind: Kind) => kind === 'control' || inTables[name] === kind
    look(canaries.find(text), name, may)
    if (raw) look(canaries.find(raw), `${name}, as bytes`, may)
  }
  for (const name of [
    'audit_events.details',
    'idempotency_keys.answer',
    'credential_keys.value',
    'access_tokens.token_hash'
  ])
    t.ok(
      dumps.some((column) => column.name === name && column.text !== ''),
      `${name} was searched`
    )

  t.same([...leaks].sort(), [], 'no leak')
  const kept = canaries.all.filter(({ kind }) => kind !== 'sent' && kind !== 'password')
  t.ok(kept.length > 20)
  t.same(
    kept.filter(({ value }) => !promised.has(value)).map(({ kind, label }) => `${kind} (${label})`),
    [],
    'every value that may appear somewhere was found there'
  )
})

const msgOf = (line: string) => JSON.parse(line).msg as string

/** What a response may contain, in the properties that `parted` separates. */
const PROMISED: Record<string, Kind[]> = {
  revealAppCredential: ['secret', 'plain'],
  resolveCredentials: ['secret', 'plain'],
  lightningCreateCredential: ['secret', 'plain'],
  createAccessToken: ['token'],
  createAppCredential: ['plain'],
  getAppCredential: ['plain'],
  updateAppCredential: ['plain'],
  patchAppCredential: ['plain'],
  putEnvironment: ['plain'],
  patchEnvironment: ['plain']
}
/** The audit log and a user's own sessions show user agents. */
const SHOWS_AGENTS = new Set(['listSessions', 'listAuditEvents'])

/** Splits the body into the values of the properties that may contain canaries, and the rest. */
function parted({ operationId, status, text }: Seen): { slots?: string; rest: string } {
  if (!PROMISED[operationId] || status >= 300) return { rest: text }
  const slots: unknown[] = []
  const take = (from: Record<string, unknown> | undefined, name: string) => {
    if (from?.[name] === undefined) return
    slots.push(from[name])
    delete from[name]
  }
  const body = JSON.parse(text)
  if (operationId === 'createAccessToken') take(body, 'token')
  else if (operationId === 'lightningCreateCredential') take(body.credential, 'body')
  else if (operationId === 'resolveCredentials') for (const one of body.results) take(one, 'values')
  else for (const key of body.keys) take(key, 'keyValue')
  return { slots: JSON.stringify(slots), rest: JSON.stringify(body) }
}

interface Context {
  service: TestApp
  canaries: Canaries<Kind>
  operations: Operation[]
  seen: Seen[]
  dump(): Promise<unknown>
}

const FIELDS = [
  { fieldName: 'host', fieldLabel: 'Host', fieldType: 'text', secret: false },
  { fieldName: 'config', fieldLabel: 'Config', fieldType: 'json', required: false, secret: false },
  { fieldName: 'password', fieldLabel: 'Password', fieldType: 'password' },
  { fieldName: 'tree', fieldLabel: 'Tree', fieldType: 'json', required: false },
  { fieldName: 'cert', fieldLabel: 'Certificate', fieldType: 'multiline', required: false },
  { fieldName: 'odd', fieldLabel: 'Odd', fieldType: 'text', required: false },
  { fieldName: 'pin', fieldLabel: 'PIN', fieldType: 'number', required: false, secret: true },
  { fieldName: 'site', fieldLabel: 'Site', fieldType: 'url', required: false, secret: true },
  { fieldName: 'mail', fieldLabel: 'Mail', fieldType: 'email', required: false, secret: true },
  {
    fieldName: 'choice',
    fieldLabel: 'Choice',
    fieldType: 'select',
    required: false,
    secret: true,
    options: ['a', 'b']
  },
  { fieldName: 'code', fieldLabel: 'Code', fieldType: 'text', required: false, pattern: '^[0-9]{4}$' }
]

/** Values for the fields above, except `choice` and `code`. All of them are canaries. */
function valuesOf(canaries: Canaries<Kind>, what: string, kind: { secret: Kind; plain: Kind }) {
  const secret = (label: string, value?: string) => canaries.plant(kind.secret, `${what}, ${label}`, value)
  const plain = (label: string) => canaries.plant(kind.plain, `${what}, ${label}`)
  return {
    host: plain('host'),
    config: { deep: [{ in: plain('in config') }] },
    password: secret('password'),
    tree: { list: [{ leaf: secret('in a tree') }, secret('in a list')], [secret('as a key')]: true },
    cert: secret('long', `-----BEGIN\n${randomWord(50_000)}\n-----END`),
    odd: secret('with odd characters', `"\\/\n\t<&>% +=?é${randomWord()}ü'`),
    pin: Number(secret('number', String(randomInt(1e14, 2.8e14)))),
    site: `https://user:${secret('in a URL')}@example.org/`,
    mail: `${secret('in an address')}@example.org`
  }
}

const REAL = { secret: 'secret', plain: 'plain' } as const
const SENT = { secret: 'sent', plain: 'sent' } as const

function keysOf(field: Record<string, string>, values: object) {
  return Object.entries(values).map(([name, keyValue]) => ({ fieldId: field[name], keyValue }))
}

const key = (canaries: Canaries<Kind>, what: string): RequestOptions => ({
  headers: { 'idempotency-key': canaries.plant('key', `Idempotency-Key of ${what}`) }
})

/** Sends valid requests to every operation. */
async function sendValid(t: Test, { service, canaries, dump }: Context): Promise<void> {
  const { admin } = service
  const done = async (answer: Promise<Awaited<ReturnType<Client['get']>>>, status = 200) => {
    const got = await answer
    t.equal(got.status, status, got.text.slice(0, 300))
    return got
  }
  /** Sends a create twice with one idempotency key, so that the first response is replayed. */
  const twice = async (what: string, client: Client, to: string, body: object) => {
    const options = key(canaries, what)
    const made = await done(client.post(to, body, options), 201)
    const again = await done(client.post(to, body, options), 201)
    t.same(again.json, made.json)
    t.equal(again.headers.get('idempotency-replayed'), 'true', what)
    return made
  }
  const person = async (name: string) => {
    const email = `${randomWord()}@example.org`
    const password = canaries.plant('password', `of ${name}`)
    const made = await twice(`user ${name}`, admin, '/api/v1/users', { email, name, password })
    const client = service.anonymous()
    const agent = canaries.plant('user-agent', `of ${name}`)
    await done(client.post('/api/v1/session', { email, password }, { headers: { 'user-agent': agent } }))
    client.person = { id: made.json.id, email, password }
    plantCookie(client)
    return client
  }
  const plantCookie = (client: Client) =>
    canaries.plant('cookie', `of ${client.person.email}`, client.cookie!.split('=')[1])

  for (const one of ['/livez', '/readyz']) await done(service.anonymous().get(one))
  for (const one of ['/openapi.json', '/openapi.yaml', '/docs/']) await service.anonymous().get(one)
  const [ann, bob] = [await person('Ann'), await person('Bob')]

  // Session, users
  await done(ann.get('/api/v1/session'))
  const other = ann.other()
  await done(other.signIn(ann.person))
  plantCookie(other)
  const { data: sessions } = (await done(ann.get('/api/v1/sessions'))).json
  const ended = sessions.find((one: { current: boolean }) => !one.current)
  await done(ann.delete(`/api/v1/sessions/${ended.id}`))
  const newPassword = canaries.plant('password', 'changed')
  await done(ann.put('/api/v1/users/me/password', { currentPassword: ann.person.password, newPassword }))
  await done(other.signIn({ ...ann.person, password: newPassword }))
  plantCookie(other)
  await done(other.delete('/api/v1/session'))
  const carl = await person('Carl')
  const reset = canaries.plant('password', 'set by an administrator')
  await done(admin.get('/api/v1/users'))
  await done(ann.get(`/api/v1/users/${ann.person.id}`))
  await done(admin.put(`/api/v1/users/${carl.person.id}`, { password: reset }))
  const patched = canaries.plant('password', 'patched by an administrator')
  await done(admin.request('PATCH', `/api/v1/users/${carl.person.id}`, { password: patched }))
  await done(admin.delete(`/api/v1/users/${carl.person.id}`))

  // Projects
  const { json: made } = await twice('project', ann, '/api/v1/projects', { name: uniqueName('project') })
  const project = `/api/v1/projects/${made.id}`
  await twice('member', ann, `${project}/members`, { email: bob.person.email, role: 'viewer' })
  for (const one of ['/api/v1/projects', project, `${project}/members`]) await done(bob.get(one))
  await done(ann.put(project, { description: 'changed' }))
  await done(ann.request('PATCH', project, { description: 'patched' }))
  await done(ann.put(`${project}/members/${bob.person.id}`, { role: 'editor' }))
  const doomed = await newProject(ann)
  await addMember(ann, doomed, bob, 'viewer')
  await done(ann.delete(`/api/v1/projects/${doomed}/members/${bob.person.id}`))

  // Tokens
  const token = async (what: string, body: object) => {
    const { json } = await twice(what, ann, '/api/v1/access-tokens', { name: uniqueName('token'), ...body })
    canaries.plant('token', what, json.token)
    const client = ann.other()
    client.bearer = json.token
    return { client, id: json.id as string }
  }
  const personal = await token('personal token', {
    scopes: ['credentials:read', 'credentials:write', 'credentials:reveal']
  })
  const machine = await token('project token', {
    scopes: ['credentials:read', 'credentials:resolve', 'usages:write'],
    projectId: made.id
  })
  for (const one of ['', `?projectId=${made.id}`]) await done(ann.get(`/api/v1/access-tokens${one}`))

  // Types
  const type = (
    await twice('type', ann, '/api/v1/credential-types', { typeName: uniqueName('type'), fields: FIELDS })
  ).json
  const ofType = `/api/v1/credential-types/${type.id}`
  await done(bob.get('/api/v1/credential-types'))
  await done(bob.get(ofType))
  await done(ann.put(ofType, { description: 'changed' }))
  await done(ann.request('PATCH', ofType, { description: 'patched' }))
  const field: Record<string, string> = Object.fromEntries(
    type.fields.map((one: { fieldName: string; id: string }) => [one.fieldName, one.id])
  )

  // Credentials
  const body = (what: string, more: object = {}) => ({
    credentialName: uniqueName('credential'),
    credentialTypeId: type.id,
    keys: keysOf(field, valuesOf(canaries, what, REAL)),
    ...more
  })
  const credential = (await twice('credential', ann, path, body('create', { projectIds: [made.id] }))).json
  const own = `${path}/${credential.id}`
  const everywhere = async () => {
    for (const client of [ann, bob, personal.client]) await done(client.get(own))
    for (const client of [ann, bob, personal.client, machine.client])
      await done(client.get(`${path}/by-project/${made.id}`))
    for (const client of [ann, personal.client]) {
      for (const one of [path, `${path}?search=credential`, `${own}/usages`]) await done(client.get(one))
      await done(client.get('/api/credentials'))
      await done(client.get(`/api/projects/${made.id}/credentials`))
    }
    const ask = {
      credentials: [{ id: credential.id }, { name: credential.credentialName }, { id: randomUUID() }]
    }
    for (const environment of ['main', 'staging']) {
      await done(machine.client.post(`${project}/resolve`, { ...ask, environment }))
      await ann.post(`${own}/reveal`, { environment })
    }
    await done(personal.client.post(`${own}/reveal`, { fieldIds: [field.password] }))
  }
  await everywhere()
  await done(ann.put(own, { keys: keysOf(field, valuesOf(canaries, 'update', REAL)) }))
  const staging = { keys: keysOf(field, valuesOf(canaries, 'environment', REAL)) }
  await done(ann.put(`${own}/environments/staging`, staging))
  await everywhere()
  await done(ann.request('PATCH', own, { values: valuesOf(canaries, 'patch', REAL) }))
  const patch = { values: valuesOf(canaries, 'patched environment', REAL) }
  await done(ann.request('PATCH', `${own}/environments/staging`, patch))
  await everywhere()
  const byName = { credentialName: uniqueName('by name'), credentialType: type.typeName }
  const named = { ...byName, values: valuesOf(canaries, 'by name', REAL) }
  await done(ann.post(`${path}/${(await twice('by name', ann, path, named)).json.id}/reveal`))
  await done(ann.put(`${own}/environments/brief`, staging))
  await done(ann.delete(`${own}/environments/brief`))
  await done(ann.post(`${own}/assign-projects`, { projectIds: [made.id] }))
  const usage = `${own}/usages/workflow:42`
  await done(machine.client.put(usage))
  await done(ann.get(`${own}/usages`))
  await done(machine.client.delete(usage))

  // Lightning
  const raw = (label: string) => ({
    [canaries.plant('secret', 'key of a body')]: canaries.plant('secret', label)
  })
  const lightning = async (what: string, more: object) => {
    const { json } = await twice(what, ann, '/api/credentials', {
      name: uniqueName('lightning'),
      project_credentials: [{ project_id: made.id }],
      ...more
    })
    await done(ann.post(`${path}/${json.credential.id}/reveal`))
    await done(
      ann.post(`${path}/${json.credential.id}/reveal`, { environment: 'staging' }),
      'staging' in more ? 200 : 404
    )
    return json.credential.id as string
  }
  const first = await lightning('Lightning body', { body: raw('Lightning body') })
  await lightning('Lightning body of a type', {
    schema: type.typeName,
    body: valuesOf(canaries, 'Lightning', REAL)
  })
  await lightning('Lightning body with more', {
    schema: 'http',
    body: { ...raw('Lightning further properties'), baseUrl: canaries.plant('secret', 'no URL') }
  })
  const bodies = ['main', 'staging'].map((name) => ({ name, body: raw(`Lightning body of ${name}`) }))
  const several = (
    await done(
      ann.post('/api/credentials', { name: uniqueName('lightning'), credential_bodies: bodies }),
      201
    )
  ).json
  await done(ann.post(`${path}/${several.credential.id}/reveal`, { environment: 'staging' }))
  await everywhere()

  // Audit
  await done(admin.get('/api/v1/audit-events?limit=200'))
  await done(ann.get('/api/v1/audit-events'))
  await done(admin.get('/api/v1/audit-events/head'))

  await dump()
  await done(ann.delete(`/api/credentials/${first}`), 204)
  await done(ann.post(`${own}/transfer`, { email: bob.person.email }))
  await done(bob.get(own))
  await done(bob.post(`${own}/reveal`))
  await done(ann.delete(`${path}/by-project/${made.id}/${credential.id}`))
  await done(bob.delete(own))
  await done(ann.delete(`/api/v1/access-tokens/${personal.id}`))
  const brief = await newType(ann)
  await done(ann.delete(`/api/v1/credential-types/${brief.id}`))
  await done(ann.delete(`/api/v1/projects/${doomed}`))
}

/** Sends requests that operations understand and refuse. */
async function sendRefused(t: Test, { service, canaries }: Context): Promise<void> {
  const [ann, bob, stranger] = [await service.newUser(), await service.newUser(), await service.newUser()]
  const sent = (label: string, value?: string) => canaries.plant('sent', label, value)
  const refused = async (status: number, what: string, answer: ReturnType<Client['get']>) => {
    const got = await answer
    t.equal(got.status, status, `${what}: ${got.text.slice(0, 300)}`)
  }
  const anonymous = service.anonymous()

  // Passwords
  const signIn = (email: string, password: string) => anonymous.post('/api/v1/session', { email, password })
  await refused(401, 'wrong password', signIn(ann.person.email, sent('wrong password')))
  await refused(401, 'unknown e-mail', signIn(`${sent('unknown e-mail')}@example.org`, sent('its password')))
  await refused(400, 'a password for an e-mail', signIn(sent('password for an e-mail'), 'x'))
  await refused(
    400,
    'too long a password',
    signIn(ann.person.email, sent('too long a password', randomWord(1_100)))
  )
  const me = '/api/v1/users/me/password'
  const change = {
    currentPassword: sent('wrong current password'),
    newPassword: sent('new, after a wrong current one')
  }
  await refused(403, 'wrong current password', ann.put(me, change))
  const short = sent('too short a password', randomWord(11))
  await refused(400, 'too short', ann.put(me, { ...change, newPassword: short }))
  const user = (more: object) => ({
    email: `${randomWord()}@example.org`,
    name: 'N',
    password: sent('refused user'),
    ...more
  })
  await refused(409, 'e-mail taken', service.admin.post('/api/v1/users', user({ email: ann.person.email })))
  await refused(400, 'role', service.admin.post('/api/v1/users', user({ role: sent('role') })))
  await refused(400, 'too short', service.admin.post('/api/v1/users', user({ password: short })))
  await refused(403, 'no administrator', ann.post('/api/v1/users', user({})))
  await refused(
    403,
    'a password of mine',
    ann.put(`/api/v1/users/${ann.person.id}`, { password: sent('set as a user') })
  )
  await refused(
    404,
    'of another',
    ann.put(`/api/v1/users/${bob.person.id}`, { password: sent('set for another') })
  )
  const guessed = { email: `${randomWord()}@example.org`, password: sent('guess') }
  for (let i = 0; i < 10; i++) await anonymous.post('/api/v1/session', guessed)
  await refused(429, 'too many', anonymous.post('/api/v1/session', guessed))

  // Sessions and tokens
  const as = (headers: Record<string, string>) => anonymous.get('/api/v1/session', { headers })
  const form = sent('cookie of the right form', randomWord(43))
  for (const cookie of [sent('cookie'), form])
    await refused(401, 'cookie', as({ cookie: `latchkey_session=${cookie}` }))
  for (const scheme of ['Bearer ', 'Bearer lk_pat_', 'Basic ', ''])
    await refused(401, scheme, as({ authorization: scheme + sent(`after ${scheme}`) }))
  const reader = await newToken(ann, ['credentials:read'])
  canaries.plant('token', 'reader', reader.bearer)

  // Credentials
  const project = await newProject(bob)
  await addMember(bob, project, ann, 'viewer')
  const type = await newType(ann, FIELDS)
  const { field } = type
  const values = (what: string) => valuesOf(canaries, what, SENT)
  const body = (what: string, more: object = {}) => ({
    credentialName: uniqueName('credential'),
    credentialTypeId: type.id,
    keys: keysOf(field, values(what)),
    ...more
  })
  const real = { host: 'mail.example.org', password: 'hunter2 hunter2' }
  const plain = body('', { keys: keysOf(field, real) })
  const made = await ann.post(path, plain, key(canaries, 'a real one'))
  t.equal(made.status, 201)
  const own = `${path}/${made.json.id}`
  const keys = (what: string) => ({ keys: keysOf(field, values(what)) })
  const create = (status: number, what: string, more: object, client = ann, options?: RequestOptions) =>
    refused(status, what, client.post(path, body(what, more), options))
  await create(409, 'name taken', { credentialName: made.json.credentialName })
  await create(400, 'unknown type', { credentialTypeId: randomUUID() })
  await create(400, 'a value for a type', { credentialTypeId: sent('as a type') })
  await create(404, 'unknown project', { projectIds: [randomUUID()] })
  await create(403, 'a project where I may not', { projectIds: [project] })
  await create(400, 'a time', { expiresAt: sent('as a time') })
  await create(403, 'scope', {}, reader)
  await create(401, 'nobody', {}, anonymous)
  const reused = { headers: { 'idempotency-key': randomWord() } }
  t.equal((await ann.post(path, { ...plain, credentialName: uniqueName('c') }, reused)).status, 201)
  await create(422, 'key reused', {}, ann, reused)

  const wrong: [what: string, field: string, value: unknown][] = [
    ['number', 'pin', sent('for a number')],
    ['string', 'password', { [sent('name in an object for a text')]: sent('in an object for a text') }],
    ['string', 'password', [sent('in a list for a text')]],
    ['url', 'site', sent('for a URL')],
    ['url', 'site', `https://user:${sent('in a URL with a space')}@example.org/ x`],
    ['email', 'mail', sent('for an address')],
    ['select', 'choice', sent('for an option')],
    ['pattern', 'code', sent('for a pattern')],
    ['too large', 'cert', sent('too large', randomWord(70_000))],
    ['NUL', 'password', `${sent('next to NUL')}\0`],
    ['NUL', 'tree', { [sent('name next to NUL')]: '\0' }],
    ['NUL', 'tree', { [`${sent('name with NUL')}\0`]: 1 }],
    ['surrogate', 'password', `${sent('next to a lone surrogate')}\ud800`],
    ['deep', 'tree', JSON.parse(`${'['.repeat(40)}"${sent('too deep')}"${']'.repeat(40)}`)],
    ['no field', randomUUID(), sent('of no field')],
    ['no id', sent('for a field'), 'x']
  ]
  for (const [what, name, keyValue] of wrong) {
    const wrongKeys = {
      keys: [
        ...keysOf(field, real).filter(({ fieldId }) => fieldId !== field[name]),
        { fieldId: field[name] ?? name, keyValue }
      ]
    }
    await refused(400, what, ann.post(path, { ...plain, ...wrongKeys }))
    await refused(400, what, ann.put(own, wrongKeys))
    await refused(400, what, ann.put(`${own}/environments/staging`, wrongKeys))
    const lightning = {
      name: uniqueName('l'),
      schema: await nameOf(ann, type.id),
      body: { ...real, [name]: keyValue }
    }
    await refused(422, what, ann.post('/api/credentials', lightning))
  }
  const missing = { keys: [{ fieldId: field.host, keyValue: sent('without a required field') }] }
  await refused(400, 'missing', ann.post(path, { ...plain, ...missing }))
  const required = { keys: [...keys('with a field twice').keys, { fieldId: field.password, keyValue: null }] }
  await refused(400, 'twice', ann.put(own, required))
  const extra = {
    ...keys('with an unknown property'),
    [sent('unknown property')]: sent('of an unknown property')
  }
  await refused(400, 'unknown property', ann.put(own, extra))
  const stale = { headers: { 'if-match': '"77"' } }
  for (const [client, status, options] of [
    [stranger, 404, undefined],
    [bob, 404, undefined],
    [reader, 403, undefined],
    [ann, 412, stale],
    [ann, 412, { headers: { 'if-match': `"${sent('If-Match')}` } }],
    [ann, 412, { headers: { 'if-match': sent('If-Match, bare') } }]
  ] as [Client, number, RequestOptions | undefined][]) {
    const one = String(status)
    await refused(status, one, client.put(own, keys(`update ${one}`), options))
    await refused(status, one, client.put(`${own}/environments/staging`, keys(`environment ${one}`), options))
  }
  await ann.put(`${own}/environments/${sent('environment')}%20`, keys('wrong environment'))
  await refused(404, 'reveal', stranger.post(`${own}/reveal`))
  await refused(400, 'reveal', ann.post(`${own}/reveal`, { fieldIds: [sent('as a field')] }))
  await refused(400, 'reveal', ann.post(`${own}/reveal`, { environment: `${sent('as an environment')} ` }))
  await refused(404, 'reveal', ann.post(`${own}/reveal`, { environment: sent('no environment') }))

  // Types
  const types = '/api/v1/credential-types'
  const typeOf = (more: object) => ({
    typeName: uniqueName('type'),
    fields: [{ fieldName: 'a', fieldLabel: 'A', fieldType: 'password', ...more }]
  })
  await refused(400, 'default', ann.post(types, typeOf({ defaultValue: sent('default of a secret field') })))
  await refused(400, 'pattern', ann.post(types, typeOf({ pattern: `(${sent('pattern')}` })))
  await refused(400, 'name', ann.post(types, typeOf({ fieldName: `${sent('field name')} ` })))
  await refused(400, 'type', ann.post(types, typeOf({ fieldType: sent('field type') })))
  await refused(404, 'another’s', bob.put(`${types}/${randomUUID()}`, { description: sent('description') }))

  // Lightning
  const lightning = (what: string, more: object = {}) => ({
    name: uniqueName('l'),
    body: { secret: sent(`Lightning ${what}`) },
    ...more
  })
  const post = (status: number, what: string, more: object, options?: RequestOptions) =>
    refused(status, what, ann.post('/api/credentials', lightning(what, more), options))
  await post(422, 'schema', { schema: `a\n${sent('Lightning schema')}` })
  await post(422, 'no object', { body: sent('for a body') })
  await post(422, 'no name', { name: '' })
  await post(422, 'name taken', { name: made.json.credentialName })
  await post(403, 'project', { project_credentials: [{ project_id: project }] })
  await post(422, 'no project', { project_credentials: [{ project_id: sent('Lightning project') }] })
  await post(422, 'environment', {
    credential_bodies: [{ name: `${sent('Lightning environment')} `, body: {} }]
  })
  await post(422, 'no field', { schema: await nameOf(ann, type.id) })
  await post(422, 'NUL', { [sent('Lightning name next to NUL')]: '\0' })
  await post(422, 'NUL', { body: { [sent('Lightning name in a body next to NUL')]: '\0' } })
  const keyed = { headers: { 'idempotency-key': randomWord() } }
  const own2 = { name: uniqueName('l'), body: { secret: canaries.plant('secret', 'Lightning, keyed') } }
  t.equal((await ann.post('/api/credentials', own2, keyed)).status, 201)
  await post(422, 'key reused', {}, keyed)

  // Resolve
  const held = await newToken(bob, ['credentials:resolve'], { projectId: project })
  canaries.plant('token', 'resolver', held.bearer)
  const resolve = `/api/v1/projects/${project}/resolve`
  await refused(400, 'id', held.post(resolve, { credentials: [{ id: sent('asked id') }] }))
  await refused(400, 'property', held.post(resolve, { credentials: [{ [sent('asked')]: sent('asked as') }] }))
  await refused(403, 'reveal', held.post(`${own}/reveal`))
  await refused(403, 'write', held.put(own, keys('by a machine')))

  await refused(
    403,
    'cross-site',
    ann.put(own, keys('from elsewhere'), { headers: { origin: `https://${sent('origin')}.example` } })
  )
}

const names = new Map<string, string>()
async function nameOf(client: Client, typeId: string): Promise<string> {
  const known = names.get(typeId)
  if (known) return known
  const { json } = await client.get(`/api/v1/credential-types/${typeId}`)
  names.set(typeId, json.typeName)
  return json.typeName
}

/** Sends requests while the database fails, or has values that were tampered with. */
async function sendDuringFaults(t: Test, { service, canaries, dump }: Context): Promise<void> {
  const { db } = service
  const ann = await service.newUser()
  const type = await newType(ann, FIELDS)
  const project = await newProject(ann)
  const machine = await newToken(ann, ['credentials:resolve'], { projectId: project })
  const create = (kind: { secret: Kind; plain: Kind }, options?: RequestOptions) =>
    ann.post(
      path,
      {
        credentialName: uniqueName('credential'),
        credentialTypeId: type.id,
        keys: keysOf(type.field, valuesOf(canaries, 'during a fault', kind)),
        projectIds: [project]
      },
      options
    )
  const { json: made } = await create(REAL)
  const own = `${path}/${made.id}`
  const resolve = () =>
    machine.post(`/api/v1/projects/${project}/resolve`, { credentials: [{ id: made.id }] })
  t.equal((await ann.post(`${own}/reveal`)).status, 200)

  // Error messages of the database quote the values that were sent to it.
  const message = canaries.plant('sent', 'error message of the database')
  const failing = async (table: string, when: string, sqlstate: string, work: () => Promise<unknown>) => {
    await sql
      .raw(`create function leak_fault() returns trigger language plpgsql as $$ begin
        if ${when} then raise exception '${message} %', to_jsonb(new)
          using errcode = '${sqlstate}', detail = '${message}', hint = '${message}'; end if;
        return new; end $$;
        create trigger leak_fault before insert or update on ${table}
          for each row execute function leak_fault()`)
      .execute(db)
    await work()
    await sql.raw('drop function leak_fault() cascade').execute(db)
  }
  const bodyOf = (what: string) => ({ keys: keysOf(type.field, valuesOf(canaries, what, SENT)) })
  const keyed = () => ({ headers: { 'idempotency-key': canaries.plant('sent', 'key during a fault') } })
  for (const [sqlstate, status] of [
    ['P0001', 500],
    ['22P02', 500],
    ['53300', 503]
  ] as const) {
    await failing('credential_keys', 'true', sqlstate, async () => {
      t.equal((await create(SENT)).status, status)
      t.equal((await create(SENT, keyed())).status, status)
      t.equal((await ann.put(own, bodyOf('update'))).status, status)
      t.equal((await ann.put(`${own}/environments/other`, bodyOf('environment'))).status, status)
      const body = { [canaries.plant('sent', 'name')]: canaries.plant('sent', 'Lightning during a fault') }
      t.equal((await ann.post('/api/credentials', { name: uniqueName('l'), body }, keyed())).status, status)
    })
    await failing('audit_events', 'true', sqlstate, async () => {
      t.equal((await ann.post(`${own}/reveal`)).status, 503, 'nothing is revealed without an audit event')
      t.equal((await resolve()).status, 503)
      t.equal((await create(SENT, keyed())).status, 503)
      t.equal((await create(SENT)).status, 503)
      const password = canaries.plant('sent', 'password during a fault')
      t.ok((await ann.other().post('/api/v1/session', { email: ann.person.email, password })).status >= 500)
      t.equal((await ann.other().signIn(ann.person)).status, 503)
      t.ok((await ann.put(`${path}/${randomUUID()}`, { x: canaries.plant('sent', 'x') })).status < 500)
      t.equal((await ann.post('/api/v1/users', { email: 'x@example.org', name: 'x', password })).status, 503)
    })
    await failing('users', 'true', sqlstate, async () => {
      const password = canaries.plant('sent', 'password of no user')
      const user = { email: `${randomWord()}@example.org`, name: 'N', password }
      t.equal((await service.admin.post('/api/v1/users', user, keyed())).status, status)
      t.equal((await service.admin.put(`/api/v1/users/${ann.person.id}`, { password })).status, status)
      const change = { currentPassword: ann.person.password, newPassword: password }
      t.equal((await ann.put('/api/v1/users/me/password', change)).status, status)
    })
  }

  const options = key(canaries, 'what is tampered with')
  const body = { name: uniqueName('token'), scopes: ['credentials:read'] }
  const token = await ann.post('/api/v1/access-tokens', body, options)
  canaries.plant('token', 'of a tampered answer', token.json.token)
  await sql`update idempotency_keys set answer = set_byte(answer, 20, get_byte(answer, 20) # 1)`.execute(db)
  t.equal(
    (await ann.post('/api/v1/access-tokens', body, options)).status,
    500,
    'a stored response that cannot be decrypted'
  )

  const tamper = (name: string) =>
    sql`update credential_keys set value = set_byte(value, 20, get_byte(value, 20) # 1)
      where field_id = ${type.field[name]}`.execute(db)
  await tamper('password')
  t.equal((await ann.post(`${own}/reveal`)).json.code, 'decryption-failed')
  t.equal((await resolve()).json.results[0].error.code, 'decryption-failed')
  t.equal(
    (
      await ann.put(own, {
        keys: [
          {
            fieldId: type.field.odd,
            keyValue: canaries.plant('sent', 'next to a tampered value')
          }
        ]
      })
    ).status,
    500
  )
  await tamper('host')
  t.equal((await ann.get(own)).status, 500)
  await dump()
}

/** Sends invalid requests to every operation, each with its own canary. */
async function sendInvalidToAll(t: Test, { service, canaries, operations }: Context): Promise<void> {
  const person = await service.newUser({ role: 'admin' })
  for (const operation of operations) {
    const { operationId, method, parameters, properties } = operation
    const inPath = (value: string) => operation.path.replace(/\{[^}]+\}/g, value)
    const there = inPath(randomUUID()).replace(/(?<=environments\/)[^/]+/, 'main')
    const sent = (label: string, value?: string) => canaries.plant('sent', `${operationId}: ${label}`, value)
    const hit = async (to: string, body?: string, headers: Record<string, string> = {}) => {
      // Some of the requests are valid, and sign out.
      if (!person.cookie) await person.signIn(person.person)
      const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
      const init: RequestInit = {
        method,
        headers: { cookie: person.cookie!, ...type, ...headers },
        redirect: 'manual'
      }
      if (body !== undefined) init.body = body
      const { status, headers: answered } = await fetch(service.origin + to, init)
      if (answered.getSetCookie().some((one) => one.startsWith('latchkey_session=;')))
        person.cookie = undefined
      return status
    }

    const query = parameters.filter((one) => one.in === 'query').map(({ name }) => name)
    for (const name of [...query, 'x'])
      for (const more of ['', '%00']) await hit(`${there}?${name}=${sent(`in ?${name}`)}${more}`)
    await hit(`${there}?${sent('name in the query')}=%00`)
    await hit(`${there}?${sent('name in the query')}=1`)
    if (there !== operation.path) {
      for (const more of ['', '%00', '%zz', '%20x']) await hit(inPath(sent('in the path') + more))
      await hit(inPath(sent('a long path', randomWord(3_000))))
    }
    await hit(`${there}/${sent('after the path')}`)
    for (const names of [
      ['if-match', 'idempotency-key'],
      ['x-request-id', 'x-forwarded-for', 'referer', 'accept', 'range']
    ]) {
      const headers = Object.fromEntries(names.map((name) => [name, `${sent(name)} "x`]))
      await hit(there, method === 'GET' ? undefined : '[]', headers)
    }
    if (method === 'GET') continue

    await hit(there, `{"x":"${sent('malformed')}"`)
    await hit(there, `{"x":"${sent('malformed')}" ${sent('bare')}}`)
    await hit(there, `${sent('not JSON')}`)
    await hit(there, `{"x":1,"x":"${sent('twice')}"}`)
    await hit(there, `{"${sent('name twice')}":1,"x":1,"x":1}`)
    await hit(there, `{"__proto__":"${sent('prototype')}"}`)
    await hit(there, JSON.stringify(sent('a text')))
    await hit(there, JSON.stringify([sent('a list')]))
    await hit(there, JSON.stringify({ x: sent('unknown property') }))
    await hit(there, JSON.stringify({ [sent('name of a property')]: 1 }))
    await hit(there, JSON.stringify({ [sent('name next to NUL')]: '\0' }))
    await hit(
      there,
      JSON.stringify({ [sent('name next to NUL')]: { [sent('name inside')]: [{ [sent('further')]: '\0' }] } })
    )
    await hit(there, JSON.stringify({ x: `${sent('next to NUL')}\0` }))
    await hit(there, sent('another type'), { 'content-type': 'text/plain' })
    await hit(there, '{}', { 'content-type': sent('content type') })
    await hit(there, '{}', { 'content-type': `application/json; charset=${sent('charset')}` })
    await hit(there, '{}', { 'content-encoding': sent('encoding') })
    for (const name of properties) {
      await hit(there, JSON.stringify({ [name]: { [sent(`name in ${name}`)]: sent(`in ${name}`) } }))
      await hit(
        there,
        JSON.stringify({ [name]: [{ [sent(`name in a list in ${name}`)]: sent(`in a list in ${name}`) }] })
      )
      await hit(there, JSON.stringify({ [name]: [sent(`text in a list in ${name}`)] }))
      await hit(there, JSON.stringify({ [name]: { [sent(`name next to NUL in ${name}`)]: '\0' } }))
      await hit(there, JSON.stringify({ [name]: sent(`too long in ${name}`, randomWord(3_000)) }))
    }
    if (properties.length > 0) {
      t.equal(await hit(there, JSON.stringify({ x: sent('too large').padEnd(1_100_000) })), 413, operationId)
    }
  }
}

/** Sends requests that reach no operation, or are not HTTP. */
async function sendUnreadable(t: Test, { service, canaries, seen }: Context): Promise<void> {
  const { origin } = service
  const sent = (label: string, value?: string) => canaries.plant('sent', label, value)
  const keep = (answer: { status: number; headers: object; text: string }, text = answer.text) => {
    const headers = Object.entries(answer.headers).map(([name, value]): [string, string] => [
      name,
      String(value)
    ])
    seen.push({ operationId: 'none', status: answer.status, headers, text })
  }
  for (const to of [
    `/${sent('no route')}`,
    `/api/v1/${sent('no operation')}?x=${sent('query of no operation')}`,
    `/%zz${sent('malformed URL')}`,
    `/docs/${sent('no page')}`,
    `/api/v1/users/${sent('a very long path', randomWord(9_000))}`
  ])
    keep(await send(origin, to, { headers: { host: 'localhost' } }))
  keep(
    await send(origin, `/api/v1/users/${sent('past the limit of a path', randomWord(12_000))}?`, {
      headers: { 'x-request-id': `${sent('id')} "` }
    })
  )
  keep(
    await send(origin, `${path}/${'a'.repeat(8)}`, { method: sent('method').toUpperCase() }).catch(() => ({
      status: 0,
      headers: {},
      text: ''
    }))
  )
  keep(await send(origin, '/api/v1/session', { headers: { host: `${sent('host')}.example` } }))
  keep(
    await send(origin, '/api/v1/session', { method: 'POST', headers: { host: 'x', expect: sent('Expect') } })
  )
  keep(
    await send(origin, '/api/v1/session', {
      method: 'OPTIONS',
      headers: { origin: `https://${sent('Origin')}.example`, 'access-control-request-method': 'GET' }
    })
  )
  for (const bytes of [
    `GET /${sent('in a bad line')} HTTP/9.9\r\n\r\n`,
    `${sent('no HTTP')}\r\n\r\n`,
    `GET / HTTP/1.1\r\nhost: x\r\n${sent('bad header')}\r\n\r\n`,
    `GET / HTTP/1.1\r\nhost: x\r\nhost: ${sent('second host')}\r\nconnection: close\r\n\r\n`,
    `GET / HTTP/1.1\r\nhost: x\r\nx: ${sent('too large a header', randomWord(20_000))}\r\n\r\n`,
    `GET /${sent('too long a line', randomWord(20_000))} HTTP/1.1\r\nhost: x\r\n\r\n`,
    `POST /api/v1/session HTTP/1.1\r\nhost: x\r\ncontent-length: ${sent('length')}\r\n\r\n`,
    `POST /api/v1/session HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${sent('chunk')}\r\n\r\n`
  ]) {
    const answer = await sendRawBytes(origin, bytes)
    t.ok(answer.status >= 400, bytes.slice(0, 40))
    keep(answer, answer.all)
  }
  const long = await service.admin
    .get(`/api/v1/users/${sent('past 16 KiB', randomWord(14_000))}`)
    .catch(() => undefined)
  t.ok(long === undefined || long.status >= 400)
}

/** Inserts values that the search must find where others must not be. */
async function plantControls({ service, canaries }: Context): Promise<void> {
  const control = (where: string) => canaries.plant('control', where)
  await service.db
    .insertInto('projects')
    .values({ id: randomUUID(), name: 'control', name_key: 'control', description: `a ${control('text')} b` })
    .execute()
  await service.db
    .insertInto('login_failures')
    .values({ id: randomUUID(), account: Buffer.from(`a${control('bytes')}b`), address: 'x' })
    .execute()
  await sql`insert into audit_log (id, action, outcome, actor_type, details)
    values (${randomUUID()}, 'control', 'allowed', 'system',
    ${JSON.stringify({ control: Buffer.from(control('JSON')).toString('base64') })}::jsonb)`.execute(
    service.db
  )
  service.app.log.trace({ control: { deep: [encodeURIComponent(control('log'))] } }, 'control')
}
