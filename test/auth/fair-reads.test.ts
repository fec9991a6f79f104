import { randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { startTestApp } from '../helpers/app.ts'
import type { Answer, Client } from '../helpers/client.ts'
import { eventually } from '../helpers/eventually.ts'
import { newCredential, newProject, newType, type TestType } from '../helpers/fixtures.ts'
import { newToken } from '../helpers/tokens.ts'

const service = await startTestApp(t)
const AUDIT = '/api/v1/audit-events'

const keysOf = ({ field }: TestType) => Object.values(field).map((fieldId) => ({ fieldId, keyValue: 'x' }))

/** Locks a table, so that statements on it wait until `release` is called. */
async function hold(t: Test, table: string) {
  const held = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const ended = service.db.transaction().execute(async (trx) => {
    await sql`lock table ${sql.table(table)} in access exclusive mode`.execute(trx)
    held.resolve()
    await released.promise
  })
  const release = () => {
    released.resolve()
    return ended
  }
  t.teardown(release)
  await Promise.race([held.promise, ended])
  return {
    release,
    async waiting() {
      const { rows } = await sql<{ n: number }>`select count(*)::int as n from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`.execute(service.db)
      return rows[0]!.n
    }
  }
}

t.test('long reads of one caller leave connections for long reads of others', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const token = service.anonymous()
  token.bearer = (await newToken(ann, ['audit:read'])).bearer!
  const held = await hold(t, 'audit_log')
  const clients = [ann, token]
  const requests = Array.from({ length: 14 }, (_, i) => clients[i % 2]!.get(AUDIT))
  const refused = (await firstOf(requests, 4))[0]
  t.match(refused, { status: 429, json: { code: 'too-many-requests' } }, 'two run, eight wait')
  t.equal(refused?.headers.get('retry-after'), '1')
  // The refusal may come before the statements have reached the lock.
  await eventually(async () => (await held.waiting()) >= 2, 'two run')
  await sleep(100)
  t.equal(await held.waiting(), 2, 'no more than two run')
  t.equal((await bob.get('/api/v1/credential-types')).status, 200, 'a long read of another user')
  t.equal((await ann.get('/api/v1/app-credentials')).status, 200, 'a short read of the same user')
  await held.release()
  const statuses = (await Promise.all(requests)).map(({ status }) => status).sort()
  t.same(statuses, [...Array(10).fill(200), ...Array(4).fill(429)])
  t.equal((await ann.get(AUDIT)).status, 200, 'all turns are free again')
})

t.test('a caller who disconnects while waiting for a turn does not occupy a turn', async (t) => {
  const ann = await service.newUser()
  const held = await hold(t, 'audit_log')
  const sockets = Array.from({ length: 6 }, () => ask(service.origin, ann, AUDIT))
  await eventually(async () => (await held.waiting()) === 2, 'two run')
  await sleep(100)
  for (const socket of sockets) socket.destroy()
  await held.release()
  const answers = await Promise.all(Array.from({ length: 8 }, () => ann.get(AUDIT)))
  t.same(
    answers.map(({ status }) => status),
    Array(8).fill(200)
  )
})

t.test('all tokens of a project share their turns', async (t) => {
  const ann = await service.newUser()
  const project = await newProject(ann)
  const fields = ['a', 'b'].map((fieldName) => ({ fieldName, fieldLabel: 'F', fieldType: 'text' }))
  const type = await newType(ann, fields)
  const keys = Object.values(type.field).map((fieldId) => ({ fieldId, keyValue: 'x'.repeat(60_000) }))
  const { id } = await newCredential(ann, type, { keys, projectIds: [project] })
  const machines = await Promise.all(
    [1, 2, 3].map(() => newToken(ann, ['credentials:resolve'], { projectId: project }))
  )
  const small = await newCredential(ann, type, { projectIds: [project], keys: keysOf(type) })
  const resolve = (machine: Client, id: string) =>
    machine.post(`/api/v1/projects/${project}/resolve`, { credentials: [{ id }] })
  // The lock holds the statement that records the event, after the values have been read.
  const held = await hold(t, 'audit_log')
  const large = machines.flatMap((machine) => Array.from({ length: 4 }, () => resolve(machine, id)))
  const refused = (await firstOf(large, 2))[0]
  t.match(refused, { status: 429, json: { code: 'too-many-requests' } })
  await held.release()
  const statuses = (await Promise.all(large)).map(({ status }) => status).sort()
  t.same(statuses, [...Array(10).fill(200), 429, 429])
  t.equal((await resolve(machines[0]!, small.id)).status, 200)
})

t.test('a resolve by name in a project with many credentials is a long read', async (t) => {
  const ann = await service.newUser()
  const project = await newProject(ann)
  const type = await newType(ann)
  const { id, credentialName: name } = await newCredential(ann, type, { projectIds: [project] })
  await sql`with made as (
      insert into credentials (id, owner_id, type_id, name, name_key)
      select gen_random_uuid(), ${ann.person.id}::uuid, ${type.id}::uuid, 'Many ' || i, 'many ' || i
      from generate_series(1, 1000) i returning id)
    insert into credential_projects (id, credential_id, project_id)
      select gen_random_uuid(), id, ${project}::uuid from made`.execute(service.db)
  const machine = await newToken(ann, ['credentials:resolve'], { projectId: project })
  const resolve = (...credentials: object[]) =>
    machine.post(`/api/v1/projects/${project}/resolve`, { credentials })
  const { json } = await resolve({ name: 'MANY 7' }, { name: name.toUpperCase() }, { name: 'none' }, { id })
  const outcomes = json.results.map((one: { error?: { code: string } }) => one.error?.code ?? 'ok')
  t.same(outcomes, ['environment-not-configured', 'ok', 'not-found', 'ok'])

  // The lock holds the statement that records the event, after the values have been read.
  const held = await hold(t, 'audit_log')
  const byName = Array.from({ length: 12 }, () => resolve({ name }))
  const [refused] = await firstOf(byName, 2)
  t.match(refused, { status: 429, json: { code: 'too-many-requests' } })
  const ids = Array.from({ length: 17 }, () => ({ id: randomUUID() }))
  const byIds = Array.from({ length: 12 }, () => resolve(...ids))
  await held.release()
  const statuses = (await Promise.all(byName)).map(({ status }) => status).sort()
  t.same(statuses, [...Array(10).fill(200), 429, 429])
  for (const { status } of await Promise.all(byIds)) t.equal(status, 200, 'many ids are a short read')
})

/** Returns the first `count` responses. */
async function firstOf(requests: readonly Promise<Answer>[], count: number): Promise<Answer[]> {
  const answers: Answer[] = []
  for (const request of requests) void request.then((answer) => answers.push(answer))
  await eventually(() => answers.length >= count, `${count} answers`, 4_000)
  return answers
}

/** Sends a request and does not read the response. */
function ask(origin: string, client: Client, path: string): Socket {
  const { hostname, port } = new URL(origin)
  const socket = connect({ host: hostname, port: Number(port) })
  socket.on('error', () => {}).pause()
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ${hostname}\r\ncookie: ${client.cookie}\r\n\r\n`)
  return socket
}
