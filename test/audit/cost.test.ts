import { sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { sealEvents } from '../../src/audit/chain.ts'
import { listEventsAfter } from '../../src/audit/event-repository.ts'
import { startTestApp } from '../helpers/app.ts'
import type { Client } from '../helpers/client.ts'
import { newCredential, newProject, newType } from '../helpers/fixtures.ts'

// Counts the 8 KiB blocks that Postgres reads for a page of the audit log.

const service = await startTestApp(t)
const { db } = service

/** Statements that the service has sent, with their parameters. */
const sent: { text: string; values: unknown[] }[] = []
const prototype = pg.Client.prototype as unknown as {
  query(query: { text: string; values: unknown[] }): unknown
}
const { query } = prototype
prototype.query = function (one) {
  if (/scanned_to|from "audit_log" left join/.test(one.text ?? '')) sent.push(one)
  return query.call(this, one)
}
t.teardown(() => {
  prototype.query = query
})

const server = new pg.Client({ connectionString: service.databaseUrl })
await server.connect()
t.teardown(() => server.end())
await server.query('set plan_cache_mode = force_generic_plan')

interface Page {
  data: { id: string; action: string }[]
  nextCursor: string | null
}

/** Requests a page. Returns it with the number of blocks that Postgres reads for it. */
async function page(client: Client, parameters: string): Promise<{ page: Page; blocks: number }> {
  sent.length = 0
  const { status, json, text } = await client.get(`/api/v1/audit-events?${parameters}`)
  if (status !== 200) throw new Error(text)
  return { page: json, blocks: await blocksOfSent() }
}

async function blocksOfSent(): Promise<number> {
  let blocks = 0
  for (const { text, values } of [...sent]) {
    await server.query(`prepare page as ${text}`)
    const literals = values.map((value) =>
      value === null ? 'null' : pg.escapeLiteral(value instanceof Date ? value.toISOString() : String(value))
    )
    const { rows } = await server.query(
      `explain (analyze, buffers, format json) execute page(${literals.join()})`
    )
    await server.query('deallocate page')
    const [{ Plan: plan }] = rows[0]['QUERY PLAN']
    blocks += plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
  }
  return blocks
}

/** Inserts events from the last hour: of random owners, or of the given owner or project. */
async function insertEvents(
  count: number,
  {
    owner = null,
    project = null,
    target = null,
    outcome = 'allowed'
  }: {
    owner?: string | null
    project?: string | null
    target?: string | null
    outcome?: string
  } = {}
) {
  await sql`
    insert into audit_log (id, occurred_at, action, outcome, actor_type, actor_id, target_type, target_id,
      owner_id, project_id)
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0')
        || '7' || substr(md5(n::text || random()), 1, 3)
        || '8' || substr(md5(n::text || random()), 1, 15))::uuid,
      at, 'credential.resolved', ${outcome}, 'project-token', gen_random_uuid(), 'credential',
      coalesce(${target}::uuid, gen_random_uuid()), coalesce(${owner}::uuid, gen_random_uuid()),
      ${project}::uuid
    from (select n, now() - interval '1 hour' + interval '3500 seconds' * n / ${count}::int as at
      from generate_series(1, ${count}::int) n) events`.execute(db)
}

const ann = await service.newUser({ name: 'Ann' })
const idle = await service.newUser({ name: 'Idle' })
const credential = await newCredential(ann, await newType(ann))
const quiet = await newProject(ann)

const past = new Date(Date.now() - 48 * 3_600_000).toISOString()
const longPast = new Date(Date.now() - 72 * 3_600_000).toISOString()
const PAGES: [string, Client, string][] = [
  ['of a user with few events', ann, ''],
  ['of a user without events', idle, ''],
  ['of an unknown action', idle, 'action=nothing'],
  ['of denials', ann, 'outcome=denied'],
  ['of a credential', ann, `credentialId=${credential.id}`],
  ['of a project', ann, `projectId=${quiet}`],
  ['of an actor', ann, `actorId=${ann.person.id}`],
  ['of a time before all events', ann, `since=${longPast}&until=${past}`],
  ['of an administrator, of a credential', service.admin, `credentialId=${credential.id}`],
  ['of an administrator, of a time before all events', service.admin, `since=${longPast}&until=${past}`],
  ['of an administrator', service.admin, 'limit=200']
]

t.test('events of other users do not make a page more expensive', async (t) => {
  const before = new Map<string, { blocks: number; page: Page }>()
  for (const [name, client, parameters] of PAGES) before.set(name, await page(client, parameters))
  await insertEvents(60_000)
  await sql`vacuum analyze audit_log`.execute(db)
  for (const [name, client, parameters] of PAGES) {
    const { page: now, blocks } = await page(client, parameters)
    const then = before.get(name)!
    if (client !== service.admin)
      t.same(
        now.data.map(({ id }) => id),
        then.page.data.map(({ id }) => id),
        name
      )
    // Each index may have become one or two levels deeper, and an event takes three blocks.
    const most = then.blocks + 3 * now.data.length + 50
    t.ok(blocks <= most, `a page ${name}: ${then.blocks} blocks, then ${blocks}`)
  }
})

t.test('rare events are found in pages of bounded cost', async (t) => {
  for (const parameters of ['action=nothing', 'outcome=denied', 'action=token.created']) {
    let pages = 0
    let cursor: string | null = null
    do {
      const { page: one, blocks } = await page(
        service.admin,
        `${parameters}${cursor ? `&cursor=${cursor}` : ''}`
      )
      t.ok(blocks < 3_500, `${parameters}: ${blocks} blocks`)
      if (cursor && one.nextCursor)
        t.not(one.nextCursor, cursor, 'each page continues after the previous one')
      cursor = one.nextCursor
    } while (cursor && ++pages < 5)
  }
  const all = await everyPage(t, service.admin, 'action=project.created')
  t.equal(all.length, 1, 'found behind 60,000 other events')
})

t.test('pages over many projects contain each event once, in order', async (t) => {
  const bea = await service.newUser({ name: 'Bea' })
  const projects = await Promise.all(Array.from({ length: 30 }, () => newProject(bea)))
  await insertEvents(1_500, { project: projects[0]! })
  for (const project of projects.slice(1)) await insertEvents(3, { project, outcome: 'denied' })
  await insertEvents(40, { owner: bea.person.id })
  const { rows } = await sql<{ id: string; outcome: string }>`select id, outcome from audit_log
    where owner_id = ${bea.person.id} or project_id = any(${projects}::uuid[]) order by id desc`.execute(db)
  t.ok(rows.length > 1_600, `${rows.length} events`)
  t.same(
    await everyPage(t, bea, 'limit=200'),
    rows.map(({ id }) => id)
  )
  const denied = rows.filter((row) => row.outcome === 'denied').map(({ id }) => id)
  t.ok(denied.length >= 87)
  t.same(await everyPage(t, bea, 'limit=50&outcome=denied'), denied)
  const { blocks } = await page(bea, '')
  t.ok(blocks < 3_500, `${blocks} blocks`)
})

t.test('pages do not reveal how many events of a credential are hidden', async (t) => {
  const { id } = credential
  await insertEvents(3_000, { target: id })
  const shown = await everyPage(t, ann, `credentialId=${id}`)
  t.equal(shown.length, 1)
  const { page: one } = await page(idle, `credentialId=${id}`)
  t.same(one, { data: [], nextCursor: null })
})

t.test('each page of an export costs the same', async (t) => {
  await sealEvents(db)
  await sql`vacuum analyze audit_log, audit_links`.execute(db)
  const { rows } = await sql<{
    id: string
  }>`select id from audit_log order by id desc offset 1000 limit 1`.execute(db)
  const costOf = async (id: string) => {
    sent.length = 0
    t.equal((await listEventsAfter(db, id, 1_000)).length, 1_000)
    return blocksOfSent()
  }
  const first = await costOf('00000000-0000-0000-0000-000000000000')
  const last = await costOf(rows[0]!.id)
  t.ok(first > 0 && last < 2 * first, `${first} blocks, then ${last}`)
})

async function everyPage(t: Test, client: Client, parameters: string): Promise<string[]> {
  const ids: string[] = []
  let cursor: string | null = null
  for (let i = 0; i < 200; i++) {
    const { json } = await client.get(
      `/api/v1/audit-events?${parameters}${cursor ? `&cursor=${cursor}` : ''}`
    )
    ids.push(...(json as Page).data.map((event) => event.id))
    cursor = (json as Page).nextCursor
    if (cursor === null) return ids
  }
  t.fail('the pages do not end')
  return ids
}
