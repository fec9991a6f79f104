import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startTestApp, type TestApp } from './helpers/app.ts'
import type { Client } from './helpers/client.ts'
import { CASES, newWorld, type Row, readTable, type World } from './helpers/permission-world.ts'

// A request needs its access at the moment when it reads or changes data, not when its headers arrive or when
// its caller is looked up. These tests combine each operation with each way to lose access.

type Kind = 'owner' | 'holder' | 'administrator' | 'personal token' | 'project token'

interface Subject {
  kind: Kind
  /** Each request gets a new session or token. */
  client: Client
  tokenId: string | undefined
}

interface Way {
  name: string
  /** True if this kind of caller loses the access that the request of the row needs. */
  applies(kind: Kind, row: Row): boolean
  end(world: World, service: TestApp, subject: Subject): Promise<unknown>
  statuses: readonly number[]
}

const PAST = new Date(Date.now() - 1_000)
const isSession = (kind: Kind) => !kind.endsWith('token')
const isPerson = (kind: Kind) => kind !== 'project token'
function codeOf(row: Row, column: string): number {
  const code = row.expected.get(column)
  if (code === undefined) throw new Error(`no column “${column}” in the table of permissions`)
  return code
}

const WAYS: Way[] = [
  {
    name: 'sign-out',
    applies: isSession,
    end: (_world, _service, { client }) => expectOk(client.delete('/api/v1/session')),
    statuses: [401]
  },
  {
    name: 'a password reset',
    applies: isSession,
    end: (_world, { admin }, { client: { person } }) =>
      expectOk(admin.put(`/api/v1/users/${person.id}`, { password: person.password })),
    statuses: [401]
  },
  {
    name: 'the user being disabled',
    applies: isPerson,
    end: (_world, { admin }, { client: { person } }) =>
      expectOk(admin.put(`/api/v1/users/${person.id}`, { disabled: true })),
    statuses: [401]
  },
  {
    name: 'demotion',
    applies: (kind, row) => kind === 'administrator' && codeOf(row, 'other user') >= 400,
    end: (_world, { admin }, { client: { person } }) =>
      expectOk(admin.put(`/api/v1/users/${person.id}`, { role: 'user' })),
    statuses: [403, 404]
  },
  {
    name: 'revocation of the token',
    applies: (kind) => !isSession(kind),
    end: ({ holder, owner }, _service, { kind, tokenId }) =>
      expectOk((kind === 'project token' ? owner : holder).delete(`/api/v1/access-tokens/${tokenId}`)),
    statuses: [401]
  },
  {
    name: 'expiry of the token',
    applies: (kind) => !isSession(kind),
    end: ({ db }, _service, { tokenId }) =>
      db.updateTable('access_tokens').set({ expires_at: PAST }).where('id', '=', tokenId!).execute(),
    statuses: [401]
  },
  {
    name: 'the membership ending',
    applies: (kind, row) => kind === 'owner' && codeOf(row, 'other user') >= 400,
    end: ({ db }, _service, { client: { person } }) =>
      db.deleteFrom('project_members').where('user_id', '=', person.id).execute(),
    statuses: [403, 404]
  }
]

async function expectOk(answer: ReturnType<Client['request']>): Promise<void> {
  const { status, text } = await answer
  if (status >= 300) throw new Error(text)
}

/** Returns the kinds of callers that may send the request of the row. */
function kindsOf(row: Row): Kind[] {
  const allowed = (column: string) => codeOf(row, column) < 300
  const columns: [Kind, readonly string[]][] = [
    ['owner', ['owner']],
    ['holder', ['credential owner']],
    ['administrator', ['administrator']],
    ['personal token', ['personal write', 'personal reveal']],
    ['project token', ['project resolve', 'project usages']]
  ]
  return columns.flatMap(([kind, names]) => (names.some(allowed) ? [kind] : []))
}

async function newSubject(world: World, kind: Kind): Promise<Subject> {
  if (kind === 'project token') {
    const scopes = ['credentials:read', 'credentials:resolve', 'usages:write']
    const { client, id } = await world.byToken(world.owner, scopes, world.projectId)
    return { kind, client, tokenId: id }
  }
  if (kind === 'personal token') {
    const scopes = ['credentials:read', 'credentials:write', 'credentials:reveal']
    const { client, id } = await world.byToken(world.holder, scopes)
    return { kind, client, tokenId: id }
  }
  const { person } = world[kind]
  const client = world[kind].other()
  client.cookie = (await world.session(person.id)).cookie
  client.person = person
  return { kind, client, tokenId: undefined }
}

/** Prepares the request of the row for a new subject of this kind. */
async function newRequest(world: World, name: string, row: Row, kind: Kind) {
  const subject = await newSubject(world, kind)
  const [method, template] = row.request.split(' ') as [string, string]
  const caller = { column: kind, name: kind, client: subject.client, actorId: null }
  const { params = {}, body } = await CASES[name]!.make(world, caller)
  return { subject, method, body, path: template.replace(/\{(\w+)\}/g, (_, key: string) => params[key]!) }
}

/** Restores the users, sessions and memberships that the ways changed. */
async function restore(world: World, memberships: Awaited<ReturnType<typeof membershipsOf>>): Promise<void> {
  const { db } = world
  for (const client of [world.owner, world.holder, world.administrator]) {
    const role = client === world.administrator ? 'admin' : 'user'
    await db
      .updateTable('users')
      .set({ disabled_at: null, role })
      .where('id', '=', client.person.id)
      .execute()
    client.cookie = (await world.session(client.person.id)).cookie
  }
  await db
    .insertInto('project_members')
    .values(memberships)
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

const membershipsOf = ({ db, projectId }: World) =>
  db
    .selectFrom('project_members')
    .where('project_id', '=', projectId)
    .select(['project_id', 'user_id', 'role', 'created_at'])
    .execute()

/** Returns the rows whose operation passes `test`, without sign-in. */
async function rowsOf(service: TestApp, test: (method: string, hasBody: boolean) => boolean) {
  const rows = await readTable()
  return [...rows].filter(([, row]) => {
    const [method, path] = row.request.split(' ') as [string, string]
    const { requestBody } = service.contract.document.paths[path]![method.toLowerCase()]! as {
      requestBody?: unknown
    }
    return row.operationId !== 'createSession' && test(method, requestBody !== undefined)
  })
}

/** A request on its own connection that is sent in two parts. */
class HeldRequest {
  readonly #socket: Socket
  readonly #rest: Buffer
  /** The service may respond and close the connection before the rest is sent. */
  readonly #closed: Promise<void>
  #received = ''

  /** Sends the headers and the first `cut` bytes of the body. `chunked` sends it without a length. */
  constructor(
    origin: string,
    client: Client,
    method: string,
    path: string,
    { body, cut, chunked }: { body: Buffer; cut: number; chunked: boolean }
  ) {
    const { hostname, port } = new URL(origin)
    this.#socket = connect({ host: hostname, port: Number(port) })
    this.#socket.on('error', () => {})
    this.#closed = new Promise((resolve) => this.#socket.on('close', () => resolve()))
    this.#socket.setEncoding('utf8').on('data', (text) => {
      this.#received += text
    })
    const caller = client.bearer ? `authorization: Bearer ${client.bearer}` : `cookie: ${client.cookie}`
    const framing = chunked ? 'transfer-encoding: chunked' : `content-length: ${body.length}`
    this.#socket.write(
      `${method} ${path} HTTP/1.1\r\nhost: ${hostname}:${port}\r\nconnection: close\r\n${caller}\r\n` +
        `content-type: application/json\r\n${framing}\r\n\r\n`
    )
    const parts = [body.subarray(0, cut), body.subarray(cut)].map((part) =>
      chunked
        ? Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')])
        : part
    )
    if (cut > 0) this.#socket.write(parts[0]!)
    this.#rest = Buffer.concat([parts[1]!, Buffer.from(chunked ? '0\r\n\r\n' : '')])
  }

  /** Sends the rest and returns the status of the response. */
  async finish(): Promise<number> {
    this.#socket.write(this.#rest)
    await this.#closed
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(this.#received)?.[1])
  }
}

t.test('a request is refused if its caller loses access before the body has arrived', async (t) => {
  const service = await startTestApp(t)
  const world = await newWorld(service)
  const memberships = await membershipsOf(world)
  const rows = await rowsOf(service, (_method, hasBody) => hasBody)
  t.ok(rows.length > 20, `${rows.length} requests with a body`)
  const tried = new Set<string>()

  for (const way of WAYS) {
    t.test(way.name, async (t) => {
      for (const [name, row] of rows) {
        for (const kind of kindsOf(row).filter((one) => way.applies(one, row))) {
          const { subject, method, path, body = {} } = await newRequest(world, name, row, kind)
          const small = Buffer.from(JSON.stringify(body))
          // The service reads large bodies, and bodies without a length, only after authentication.
          const large = Buffer.from(JSON.stringify(body) + ' '.repeat(20_000))
          const held = [
            { body: small, cut: 0, chunked: false },
            { body: small, cut: 1, chunked: true },
            { body: small, cut: small.length - 1, chunked: false },
            { body: large, cut: large.length >> 1, chunked: false }
          ].map((part) => new HeldRequest(service.origin, subject.client, method, path, part))
          await sleep(15)
          await way.end(world, service, subject)
          const before = await world.look(row.operationId)
          const statuses = await Promise.all(held.map((one) => one.finish()))
          const after = await world.look(row.operationId)
          const label = `${name}, by ${kind}`
          for (const status of statuses)
            t.ok(way.statuses.includes(status), `${label}: ${statuses.join(', ')}`)
          t.equal(after.state, before.state, `${label}: nothing has changed`)
          tried.add(`${way.name}: ${row.operationId}`)
          await restore(world, memberships)
        }
      }
    })
  }

  t.test('each operation with a body was tested', async (t) => {
    const operations = new Set(rows.map(([, row]) => row.operationId))
    for (const operation of operations) {
      const ways = WAYS.filter((way) => tried.has(`${way.name}: ${operation}`))
      t.ok(ways.length >= 1, `${operation}: ${ways.map((way) => way.name).join(', ')}`)
    }
  })
})

t.test('a request is refused if its caller loses access after authentication', async (t) => {
  const service = await startTestApp(t)
  const world = await newWorld(service)
  const memberships = await membershipsOf(world)
  const rows = await rowsOf(service, (method) => method !== 'GET')
  t.ok(rows.length > 30, `${rows.length} requests that change or reveal something`)
  let endAccess: (() => Promise<unknown>) | undefined
  // From outside, a test could not hit the moment between authentication and the action.
  const { authenticate } = service.app
  service.app.authenticate = async function (this: typeof service.app, request, valid) {
    await authenticate.call(this, request, valid)
    const end = endAccess
    endAccess = undefined
    await end?.()
  }

  for (const way of WAYS) {
    t.test(way.name, async (t) => {
      for (const [name, row] of rows) {
        for (const kind of kindsOf(row).filter((one) => way.applies(one, row))) {
          const { subject, method, path, body } = await newRequest(world, name, row, kind)
          let before: Awaited<ReturnType<World['look']>> | undefined
          endAccess = async () => {
            await way.end(world, service, subject)
            before = await world.look(row.operationId)
          }
          const { status, text } = await subject.client.request(method, path, body)
          const after = await world.look(row.operationId)
          const label = `${name}, by ${kind}`
          t.ok(way.statuses.includes(status), `${label}: ${status} ${text.slice(0, 200)}`)
          t.equal(after.state, before?.state, `${label}: nothing has changed`)
          await restore(world, memberships)
        }
      }
    })
  }
})
