import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Client } from '../../helpers/client.ts'
import { addMember, newProject, newType } from '../../helpers/fixtures.ts'
import { newToken } from '../../helpers/tokens.ts'

// Lists without pages are complete up to 10,000 credentials. The service reads them in parts, as fast as the
// client receives them.

const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
const ann = await service.newUser()
const type = await newType(ann)
const projectId = await newProject(ann)
const LISTS = [
  `/api/v1/app-credentials/by-project/${projectId}`,
  '/api/credentials',
  `/api/credentials?project_id=${projectId}`,
  `/api/projects/${projectId}/credentials`
]

let count = 0
const start = new Date()
/** Adds credentials of Ann to the project until there are `total`. */
async function growTo(total: number): Promise<void> {
  const from = count + 1
  count = total
  await sql`with made as (
      insert into credentials (id, owner_id, type_id, name, name_key, description, created_at)
      select gen_random_uuid(), ${ann.person.id}::uuid, ${type.id}::uuid, 'Credential ' || i,
        'credential ' || i,
        repeat('x', 2000), ${start}::timestamptz - i * interval '1 second'
      from generate_series(${from}::int, ${total}::int) i returning id),
    environments as (
      insert into credential_environments (credential_id, name) select id, 'main' from made)
    insert into credential_projects (id, credential_id, project_id, assigned_by)
      select gen_random_uuid(), id, ${projectId}::uuid, ${ann.person.id}::uuid from made`.execute(service.db)
}

interface Listed {
  credentialName?: string
  name?: string
}

const itemsOf = (json: Listed[] | { credentials: Listed[] }) =>
  Array.isArray(json) ? json : json.credentials

t.test('a list of any length is complete and in order', async (t) => {
  for (const total of [249, 250, 251, 500, 751]) {
    await growTo(total)
    for (const path of LISTS) {
      const { status, json, headers } = await ann.get(path)
      t.equal(status, 200)
      t.equal(headers.get('content-type'), 'application/json; charset=utf-8')
      const names = itemsOf(json).map((one) => one.credentialName ?? one.name!)
      const created = Array.from({ length: total }, (_, i) => `Credential ${i + 1}`)
      t.same(names, path.includes('/v1/') ? created : created.sort(), `${total} by ${path.split('?')[0]}`)
      if (!path.includes('/v1/')) t.same(Object.keys(json), ['credentials', 'errors'])
    }
  }
})

t.test('a list that is being sent is cut when access to it ends', async (t) => {
  await growTo(10_000)
  const [ofProject, own, queried, nested] = LISTS as [string, string, string, string]
  const newMember = async () => {
    const member = await service.newUser()
    await addMember(ann, projectId, member, 'viewer')
    return member
  }
  const endMembership = ({ person }: Client) =>
    sql`delete from project_members where user_id = ${person.id}`.execute(service.db)
  const endSession = ({ person }: Client) =>
    sql`delete from sessions where user_id = ${person.id}`.execute(service.db)
  const revoke = ({ bearer }: Client) =>
    sql`update access_tokens set revoked_at = now()
      where (project_id is null) = ${bearer!.startsWith('lk_pat_')}`.execute(service.db)
  const cases: [string, Client, (reader: Client) => Promise<unknown>][] = [
    [ofProject, await newMember(), endMembership],
    [ofProject, await newMember(), endSession],
    [queried, await newMember(), endMembership],
    [nested, await newMember(), endSession],
    [own, await newToken(ann, ['credentials:read']), revoke],
    [ofProject, await newToken(ann, ['credentials:read'], { projectId }), revoke]
  ]
  for (const [path, reader, end] of cases) {
    const headers = reader.bearer ? { authorization: `Bearer ${reader.bearer}` } : { cookie: reader.cookie! }
    const asked = request(service.origin + path, { headers, agent: false }).end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    t.equal(answer.statusCode, 200)
    await end(reader)
    await t.rejects(async () => {
      for await (const _ of answer);
    }, path)
  }
})

t.test('lists of more than 10,000 are refused with advice', async (t) => {
  await growTo(10_000)
  for (const path of LISTS) t.equal(itemsOf((await ann.get(path)).json).length, 10_000, path)
  await growTo(10_001)
  for (const path of LISTS) {
    const { status, json } = await ann.get(path)
    t.equal(status, 413, path)
    if (path.includes('/v1/')) t.match(json, { code: 'answer-too-large', detail: /Read it in pages/ })
    else t.same(json, { error: 'Request Entity Too Large' })
  }
})

t.test('clients that do not read their responses occupy little memory, and are disconnected', async (t) => {
  await sql`delete from credential_projects where credential_id = (
    select credential_id from credential_projects limit 1)`.execute(service.db)
  const { hostname, port } = new URL(service.origin)
  // Different users, because a caller may have only two long reads at a time.
  const readers: Client[] = []
  for (let i = 0; i < 30; i++) {
    const reader = await service.newUser()
    await addMember(ann, projectId, reader, 'viewer')
    readers.push(reader)
  }
  const open: Socket[] = []
  t.teardown(() => {
    for (const socket of open) socket.destroy()
  })
  global.gc?.()
  const before = process.memoryUsage().rss
  for (let i = 0; i < 30; i++) {
    const socket = connect({ host: hostname, port: Number(port) }).on('error', () => {})
    socket.pause()
    await once(socket, 'connect')
    // Pipelines several requests on each connection.
    const { cookie } = readers[i]!
    socket.write(`GET ${LISTS[0]} HTTP/1.1\r\nhost: x\r\ncookie: ${cookie}\r\n\r\n`.repeat(20))
    open.push(socket)
  }
  const asked = performance.now()
  let most = 0
  while (performance.now() - asked < 5_000) {
    most = Math.max(most, process.memoryUsage().rss - before)
    await sleep(50)
  }
  t.ok(most < 250 * 1024 * 1024, `${Math.round(most / 1024 / 1024)} MiB more`)
  const began = performance.now()
  t.equal((await ann.get('/api/v1/projects')).status, 200)
  t.ok(performance.now() - began < 1_000, 'others are served')
  const ended = () =>
    new Promise<number>((resolve) => service.app.server.getConnections((_error, n) => resolve(n)))
  while ((await ended()) > 5 && performance.now() - asked < 70_000) await sleep(250)
  t.ok((await ended()) <= 5, `${await ended()} connections after ${Math.round(performance.now() - asked)} ms`)
})

t.test(
  'credentials of many projects with long names and descriptions are listed in small parts',
  async (t) => {
    const bob = await service.newUser()
    const project = await newProject(bob)
    await sql`with projects as (
      insert into projects (id, name, name_key, description)
      select gen_random_uuid(), repeat('𝒫', 190) || i, repeat('𝒫', 190) || i, repeat('𝒟', 2000)
      from generate_series(1, 99) i
      returning id),
    members as (
      insert into project_members (project_id, user_id, role)
      select id, ${bob.person.id}::uuid, 'owner' from projects),
    made as (
      insert into credentials (id, owner_id, type_id, name, name_key)
      select gen_random_uuid(), ${bob.person.id}::uuid, ${type.id}::uuid, 'Credential ' || i,
        'credential ' || i
      from generate_series(1, 100) i returning id)
    insert into credential_projects (id, credential_id, project_id)
      select gen_random_uuid(), made.id, p.id
      from made cross join (select id from projects union all select ${project}::uuid) p`.execute(service.db)
    const paths = [
      '/api/v1/app-credentials?pageSize=100',
      `/api/v1/app-credentials/by-project/${project}`,
      '/api/credentials',
      `/api/projects/${project}/credentials`
    ]
    for (const path of paths) {
      const before = process.memoryUsage().rss
      let most = 0
      const timer = setInterval(() => {
        most = Math.max(most, process.memoryUsage().rss - before)
      }, 5)
      // More concurrent responses of 90 MB could wait too long for their turn.
      const atOnce = path.includes('/v1/') ? 6 : 2
      const sizes = await Promise.all(Array.from({ length: atOnce }, () => sizeOf(path, bob.cookie!)))
      clearInterval(timer)
      t.ok(sizes[0]! > 5_000_000, `${path}: ${sizes[0]} bytes`)
      t.same(new Set(sizes).size, 1)
      t.ok(most < 150 * 1024 * 1024, `${path}: ${Math.round(most / 1024 / 1024)} MiB more`)
    }
  }
)

/** Returns the size of a response. Does not buffer it, as `fetch` would in this process. */
async function sizeOf(path: string, cookie: string): Promise<number> {
  const asked = request(service.origin + path, { headers: { cookie }, agent: false }).end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  let size = 0
  for await (const chunk of answer) size += (chunk as Buffer).length
  return answer.statusCode === 200 ? size : 0
}
