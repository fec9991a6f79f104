// Counts the statements of requests. Not every request writes last uses, counters or totals.
import { sql } from 'kysely'
import t from 'tap'
import { startTestApp } from './helpers/app.ts'
import type { Client } from './helpers/client.ts'
import { eventually } from './helpers/eventually.ts'
import { newCredential, newProject, newType } from './helpers/fixtures.ts'
import { watchStatements } from './helpers/statements.ts'
import { newToken } from './helpers/tokens.ts'

const REQUESTS = 10

const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
const ann = await service.newUser()
const type = await newType(ann)
const project = await newProject(ann)
const { id } = await newCredential(ann, type, { projectIds: [project] })
await ann.put(`/api/v1/app-credentials/${id}/usages/job`)
const machine = await newToken(ann, ['credentials:resolve', 'credentials:read'], { projectId: project })
const personal = await newToken(ann, ['credentials:read'])

const { sent } = watchStatements(t)

/** Statements of background jobs. */
const JOBS =
  /audit_unsealed|audit_links|audit_signing_key|data_keys|advisory|set_config|^(begin|commit|rollback)/i
const isWrite = (text: string) => /\b(insert into|update|delete from) "?\w+/.test(text)

/** Returns the statements of equal requests in sequence, without those of a first request. */
async function statementsOf(send: () => ReturnType<Client['get']>): Promise<string[]> {
  await send()
  await service.app.lastUses.end()
  sent.length = 0
  for (let i = 0; i < REQUESTS; i++) {
    const { status, text } = await send()
    if (status !== 200) throw new Error(text)
  }
  return sent.filter((text) => !JOBS.test(text))
}

const path = `/api/v1/app-credentials`
const READS: [name: string, client: Client, path: string][] = [
  ['a credential, by session', ann, `${path}/${id}`],
  ['a credential, by token', personal, `${path}/${id}`],
  ['a list', ann, path],
  ['a search', ann, `${path}?search=credential`],
  ['a list of a project, by its token', machine, `${path}/by-project/${project}`],
  ['the projects', ann, '/api/v1/projects'],
  ['the session', ann, '/api/v1/session'],
  ['the audit log', ann, '/api/v1/audit-events'],
  ['the usages', ann, `${path}/${id}/usages`]
]

t.test('reads do not write', async (t) => {
  for (const [name, client, path] of READS) {
    const statements = await statementsOf(() => client.get(path))
    t.same(statements.filter(isWrite), [], name)
    t.ok(statements.length <= 4 * REQUESTS, `${name}: ${statements.length / REQUESTS} statements`)
  }
})

t.test('a resolve or reveal writes only its events, in one statement', async (t) => {
  const valueReads: [name: string, send: () => ReturnType<Client['get']>][] = [
    ['resolve', () => machine.post(`/api/v1/projects/${project}/resolve`, { credentials: [{ id }] })],
    ['reveal', () => ann.post(`${path}/${id}/reveal`, {})]
  ]
  for (const [name, send] of valueReads) {
    const statements = await statementsOf(send)
    const writes = statements.filter(isWrite)
    t.equal(writes.length, REQUESTS, name)
    for (const text of writes) t.match(text, /^insert into "audit_log"/, name)
    // One statement for the caller and the rows, one for the events.
    if (!t.equal(statements.length, 2 * REQUESTS, name)) t.comment(statements)
  }
})

t.test('the last use is written once, for all requests of a minute', async (t) => {
  const client = await newToken(ann, ['credentials:read'])
  await sql`update sessions set last_seen_at = now() - interval '5 minutes'`.execute(service.db)
  for (const one of [client, ann]) {
    sent.length = 0
    await Promise.all(Array.from({ length: 20 }, () => one.get(`${path}/${id}`)))
    await service.app.lastUses.end()
    await one.get(`${path}/${id}`)
    const touched = () => sent.filter((text) => /^update "(sessions|access_tokens)"/.test(text))
    await eventually(() => touched().length > 0, 'the use is written')
    t.ok(touched().length <= 3, `${touched().length} statements for 21 requests`)
  }
})
