// Requests of all kinds to several versions of the service at once. Each has one expected status.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'

const API = '/api/v1'
const CREDENTIALS = `${API}/app-credentials`
const PASSWORD = 'correct horse battery'
/** The number of concurrent requests to each version. */
const CONNECTIONS = 2
const PAUSE_MS = 10

interface Sample {
  version: string
  kind: string
  ms: number
  /** The error or the unexpected response, if any. */
  flaw: string | undefined
}

interface Call {
  method?: string
  path: string
  body?: unknown
  headers?: Record<string, string>
  status?: number
}

type Send = (call: Call) => Promise<{ json: Record<string, string>; cookie: string }>
type Kind = (send: Send) => Promise<unknown>

export interface World {
  kinds: Record<string, Kind>
  /** A user who sends no requests, for rows that a test inserts. */
  idleUser: string
  type: string
}

const post = (path: string, body: unknown, headers = {}, status = 201): Call => ({
  method: 'POST',
  path,
  body,
  headers,
  status
})

async function call(origin: string, { method = 'GET', path, body, headers = {} }: Call) {
  const response = await fetch(origin + path, {
    method,
    headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
    signal: AbortSignal.timeout(30_000),
    ...(body !== undefined && { body: JSON.stringify(body) })
  })
  const text = await response.text()
  const cookie = response.headers.getSetCookie()[0]?.split(';')[0] ?? ''
  return { status: response.status, text, cookie }
}

/** Creates users, a project, tokens and credentials, and returns requests that use them. */
export async function makeWorld(origin: string, admin: { email: string; password: string }): Promise<World> {
  const send: Send = async (made) => {
    const { status, text, cookie } = await call(origin, made)
    if (status !== (made.status ?? 200)) throw new Error(`${made.path}: ${status} ${text}`)
    return { json: text ? JSON.parse(text) : {}, cookie }
  }
  const signIn = (email: string, password = PASSWORD) => post(`${API}/session`, { email, password }, {}, 200)
  const root = { cookie: (await send(signIn(admin.email, admin.password))).cookie }
  const [ann, bob, idleUser] = await Promise.all(
    ['ann', 'bob', 'idle'].map(async (name) => {
      const email = `${name}@example.org`
      const { json } = await send(post(`${API}/users`, { email, name, password: PASSWORD }, root))
      return { id: json.id!, email, cookie: (await send(signIn(email))).cookie }
    })
  )
  const as = { cookie: ann!.cookie }
  const type = await send(
    post(
      `${API}/credential-types`,
      {
        typeName: 'mail',
        fields: [{ fieldName: 'password', fieldLabel: 'Password', fieldType: 'password' }]
      },
      as
    )
  )
  const project = (await send(post(`${API}/projects`, { name: 'Reports' }, as))).json.id!
  const scopes = ['credentials:resolve', 'credentials:read', 'usages:write']
  const token = await send(post(`${API}/access-tokens`, { name: 'machine', scopes, projectId: project }, as))
  const machine = { authorization: `Bearer ${token.json.token}` }
  let count = 0
  const newCredential = () =>
    post(
      CREDENTIALS,
      {
        credentialName: `credential ${count++}`,
        credentialTypeId: type.json.id,
        values: { password: 'hunter2 hunter2' },
        projectIds: [project]
      },
      as
    )
  const ids: string[] = []
  for (let i = 0; i < 30; i++) ids.push((await send(newCredential())).json.id!)
  const any = () => ids[Math.floor(Math.random() * ids.length)]!
  const get = (path: string, headers: Record<string, string> = as, status = 200): Kind => {
    return (send) => send({ path, headers, status })
  }
  return {
    idleUser: idleUser!.id,
    type: type.json.id!,
    kinds: {
      list: get(CREDENTIALS),
      search: get(`${CREDENTIALS}?search=credential`),
      'by-project': get(`${CREDENTIALS}/by-project/${project}`, machine),
      get: (send) => send({ path: `${CREDENTIALS}/${any()}`, headers: as }),
      reveal: (send) => send(post(`${CREDENTIALS}/${any()}/reveal`, {}, as, 200)),
      resolve: (send) =>
        send(post(`${API}/projects/${project}/resolve`, { credentials: [{ id: any() }] }, machine, 200)),
      update: (send) =>
        send({
          method: 'PUT',
          path: `${CREDENTIALS}/${any()}`,
          body: { description: `${Math.random()}` },
          headers: as
        }),
      'create and delete': async (send) => {
        const { json } = await send(newCredential())
        await send({ method: 'DELETE', path: `${CREDENTIALS}/${json.id}`, headers: as })
      },
      usage: (send) =>
        send({
          method: 'PUT',
          path: `${CREDENTIALS}/${any()}/usages/${`job-${count++ % 5}`}`,
          headers: machine
        }),
      'denied, hidden': (send) =>
        send({ path: `${CREDENTIALS}/${any()}`, headers: { cookie: bob!.cookie }, status: 404 }),
      'denied, without scope': (send) => send(post(`${CREDENTIALS}/${any()}/reveal`, {}, machine, 403)),
      'denied, anonymous': get(CREDENTIALS, {}, 401),
      projects: get(`${API}/projects`),
      members: get(`${API}/projects/${project}/members`),
      types: get(`${API}/credential-types`),
      events: get(`${API}/audit-events`),
      'head of the chain': get(`${API}/audit-events/head`, root),
      session: get(`${API}/session`),
      'sign in and out': async (send) => {
        const { cookie } = await send(signIn(ann!.email))
        await send({ method: 'DELETE', path: `${API}/session`, headers: { cookie } })
      },
      token: async (send) => {
        const made = await send(post(`${API}/access-tokens`, { name: 'one', scopes: ['audit:read'] }, as))
        await send({ method: 'DELETE', path: `${API}/access-tokens/${made.json.id}`, headers: as })
      },
      project: async (send) => {
        const { json } = await send(post(`${API}/projects`, { name: `project ${count++}` }, as))
        await send({ method: 'DELETE', path: `${API}/projects/${json.id}`, headers: as })
      },
      readyz: get('/readyz', {})
    }
  }
}

export class Load {
  readonly #world: World
  #samples: Sample[] = []

  constructor(world: World) {
    this.#world = world
  }

  /** Sends requests of all kinds in turn. Returns a function that stops after the requests in progress. */
  start(t: Test, version: string, origin: string): () => Promise<void> {
    let ended = false
    const kinds = Object.entries(this.#world.kinds)
    const loop = async (first: number) => {
      for (let turn = first; !ended; turn++) {
        const [kind, make] = kinds[turn % kinds.length]!
        await make((one) => this.#send(version, kind, origin, one)).catch(() => {})
        await sleep(PAUSE_MS)
      }
    }
    const running = Array.from({ length: CONNECTIONS }, (_, index) =>
      loop(Math.floor((index * kinds.length) / CONNECTIONS))
    )
    const stop = async () => {
      ended = true
      await Promise.all(running)
    }
    t.teardown(stop)
    return stop
  }

  async #send(version: string, kind: string, origin: string, made: Call) {
    const began = performance.now()
    const expected = made.status ?? 200
    const answer = await call(origin, made).catch((error: Error) => error)
    const ms = performance.now() - began
    const flaw =
      answer instanceof Error
        ? `${answer.message} ${answer.cause ?? ''}`
        : answer.status !== expected
          ? `${answer.status} ${answer.text}`
          : undefined
    this.#samples.push({ version, kind, ms, flaw })
    if (flaw || answer instanceof Error) throw new Error(flaw)
    return { json: answer.text ? JSON.parse(answer.text) : {}, cookie: answer.cookie }
  }

  /** Checks all responses since the last check, and how fast those of `versions` were. */
  check(t: Test, what: string, versions: string[]): void {
    const samples = this.#samples
    this.#samples = []
    const wrong = samples.filter(({ flaw }) => flaw !== undefined)
    t.same([...new Set(wrong.map(({ version, kind, flaw }) => `${version}: ${kind}: ${flaw}`))], [], what)
    for (const version of versions) {
      const own = samples.filter((sample) => sample.version === version).sort((a, b) => a.ms - b.ms)
      t.ok(own.length >= Object.keys(this.#world.kinds).length, `${what}: ${version}: ${own.length} answers`)
      const [p99, slowest] = [own[Math.floor(own.length * 0.99)]!, own.at(-1)!]
      const figures =
        `${what}: ${version}: ${own.length} answers, p99 ${Math.round(p99.ms)} ms, ` +
        `slowest ${Math.round(slowest.ms)} ms (${slowest.kind})`
      t.ok(p99.ms < 1_000, figures)
      t.comment(figures)
    }
  }
}
