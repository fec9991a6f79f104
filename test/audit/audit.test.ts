import { createHash, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { sealEvents } from '../../src/audit/chain.ts'
import { verifyChain } from '../../src/audit/verify.ts'
import type { Database } from '../../src/db/database.ts'
import { startTestApp } from '../helpers/app.ts'
import { addMember, newCredential, newProject, newType } from '../helpers/fixtures.ts'
import { sealAll } from '../helpers/sealing.ts'
import { newToken } from '../helpers/tokens.ts'

const path = '/api/v1/audit-events'
const credentials = '/api/v1/app-credentials'

/** The type of resource whose id follows this segment in a path. */
const RESOURCES: Record<string, string> = {
  'app-credentials': 'credential',
  credentials: 'credential',
  projects: 'project',
  'by-project': 'project',
  '{projectId}': 'credential',
  'credential-types': 'credential-type',
  'access-tokens': 'access-token',
  users: 'user',
  sessions: 'session'
}

/** A different value for each SQL type. */
const OTHER: Record<string, string> = {
  uuid: 'gen_random_uuid()',
  text: `'other'`,
  'timestamp with time zone': 'now()',
  jsonb: `'{"other": true}'`,
  integer: 'count + 1'
}

/** Every column of an event, including those added after this test. */
async function columnsOfEvents(db: Database): Promise<{ name: string; type: string }[]> {
  const { rows } = await sql<{ name: string; type: string }>`
    select column_name as name, data_type as type from information_schema.columns
    where table_name = 'audit_log'`.execute(db)
  return rows
}

t.test('the audit log', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser({ name: 'Ann' })
  const type = await newType(ann)

  t.test('records every change and reveal, with actor, target and origin', async (t) => {
    const project = await newProject(ann)
    const made = await newCredential(ann, type, { projectIds: [project] })
    const url = `${credentials}/${made.id}`
    await ann.put(url, { description: 'x', keys: [{ fieldId: type.field.note, keyValue: 'n' }] })
    const revealed = await ann.post(
      `${url}/reveal`,
      {},
      { headers: { 'x-request-id': 'reveal-1', 'user-agent': 'tester' } }
    )
    t.equal(revealed.status, 200)
    await ann.post(`${url}/assign-projects`, { projectIds: [] })
    await ann.put(`${url}/usages/job`)
    await ann.delete(`${url}/usages/job`)
    await ann.put(`${url}/environments/staging`, {
      keys: [
        { fieldId: type.field.host, keyValue: 'h' },
        { fieldId: type.field.password, keyValue: 'p' }
      ]
    })
    await ann.delete(`${url}/environments/staging`)
    await ann.delete(url)
    const events = (await ann.get(`${path}?credentialId=${made.id}`)).json.data
    const actions = events.map((event: { action: string }) => event.action).reverse()
    t.same(actions, [
      'credential.created',
      'credential.linked',
      'credential.updated',
      'credential.revealed',
      'credential.unlinked',
      'usage.added',
      'usage.removed',
      'credential.updated',
      'credential.updated',
      'credential.deleted'
    ])
    const reveal = events.find((event: { action: string }) => event.action === 'credential.revealed')
    t.match(reveal, {
      outcome: 'allowed',
      actor: { type: 'user', id: ann.person.id, name: 'Ann' },
      target: { type: 'credential', id: made.id, name: made.credentialName },
      ip: '127.0.0.1',
      userAgent: 'tester',
      requestId: 'reveal-1',
      details: { environment: 'main', revision: 2, sealedRevision: 2, fields: ['host', 'password', 'note'] }
    })
    t.notMatch(JSON.stringify(events), /hunter2|mail\.example/)
  })

  t.test('records sign-ins, failures and denials, and counts equal ones within a minute', async (t) => {
    const bob = await service.newUser()
    const { id } = await newCredential(ann, type)
    for (let i = 0; i < 5; i++) await bob.post(`${credentials}/${id}/reveal`, {})
    await bob.get(`${credentials}/${id}`)
    await service
      .anonymous()
      .post('/api/v1/session', { email: bob.person.email, password: 'wrong wrong wrong' })
    const seen = (await ann.get(`${path}?credentialId=${id}&outcome=denied`)).json.data
    const reveals = seen.filter((event: { action: string }) => event.action === 'revealAppCredential')
    t.equal(
      reveals.reduce((sum: number, event: { count: number }) => sum + event.count, 0),
      5
    )
    t.ok(reveals.length <= 2, 'folded')
    t.match(reveals[0], { actor: { id: bob.person.id }, details: { code: 'not-found', status: 404 } })
    const unknown = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'
    await bob.get(`${credentials}/${unknown}`)
    t.same(
      (await service.admin.get(`${path}?credentialId=${unknown}`)).json.data,
      [],
      'a 404 for an unknown id is not a denial'
    )
    const failed = (await service.admin.get(`${path}?action=session.failed`)).json.data[0]
    t.match(failed, {
      outcome: 'denied',
      actor: { type: 'anonymous', id: null },
      target: { type: 'user', id: bob.person.id }
    })
    t.equal(
      (await service.admin.get(`${path}?action=session.started&actorId=${bob.person.id}`)).json.data.length,
      1
    )
  })

  t.test('names the target of a denial on every route with an id in its path', async (t) => {
    const bob = await service.newUser()
    const token = await newToken(bob, ['audit:read'])
    const expected = new Map<string, { type: string; id: string }>()
    for (const [path, operations] of Object.entries(service.contract.document.paths)) {
      if (!path.includes('{')) continue
      const segments = path.split('/')
      const at = segments.includes('{id}') ? segments.indexOf('{id}') : segments.indexOf('{projectId}')
      for (const [method, { operationId }] of Object.entries(operations)) {
        const id = randomUUID()
        const url = segments.map((segment, i) => (i === at ? id : segment.replace(/\{.*\}/, randomUUID())))
        t.equal((await token.request(method.toUpperCase(), url.join('/'))).status, 403, operationId)
        expected.set(operationId, { type: RESOURCES[segments[at - 1]!]!, id })
      }
    }
    t.ok(expected.size > 25, `${expected.size} operations`)
    const { data } = (await service.admin.get(`${path}?outcome=denied&actorId=${bob.person.id}&limit=200`))
      .json
    t.equal(data.length, expected.size)
    for (const { action, target } of data) t.match(target, expected.get(action)!, action)
  })

  t.test('shows administrators all events, and users those of their credentials and projects', async (t) => {
    const [bob, carl] = [await service.newUser(), await service.newUser()]
    const project = await newProject(ann)
    await addMember(ann, project, bob, 'editor')
    const { id } = await newCredential(bob, type, { projectIds: [project] })
    const ids = async (client: typeof bob, query = '') =>
      (await client.get(`${path}?credentialId=${id}${query}`)).json.data.map(
        (event: { action: string }) => event.action
      )
    t.same(await ids(bob), ['credential.linked', 'credential.created'], 'the credential’s owner')
    t.same(await ids(ann), ['credential.linked'], 'the project’s owner: events of the project')
    t.same(await ids(carl), [], 'another user')
    t.same(await ids(service.admin), ['credential.linked', 'credential.created'])
    await addMember(ann, project, carl, 'viewer')
    t.same(await ids(carl), [], 'a viewer of the project')
    const reader = await newToken(bob, ['audit:read'])
    t.equal((await ids(reader)).length, 2)
    const admins = await newToken(service.admin, ['audit:read'])
    t.same(await ids(admins), [], 'an administrator’s token sees only events of the user')
    t.equal((await (await newToken(bob, ['credentials:read'])).get(path)).status, 403)
    t.equal((await bob.get(`${path}/head`)).status, 403)
  })

  t.test('can be paged and filtered', async (t) => {
    const first = (await service.admin.get(`${path}?limit=3`)).json
    t.equal(first.data.length, 3)
    const second = (await service.admin.get(`${path}?limit=3&cursor=${first.nextCursor}`)).json
    const ids = [...first.data, ...second.data].map((event: { id: string }) => event.id)
    t.equal(new Set(ids).size, 6)
    t.same(ids, [...ids].sort().reverse(), 'newest first')
    let cursor = ''
    let count = 0
    for (;;) {
      const page = (await service.admin.get(`${path}?limit=200${cursor}`)).json
      count += page.data.length
      if (!page.nextCursor) break
      cursor = `&cursor=${page.nextCursor}`
    }
    const { total } = await service.db
      .selectFrom('audit_log')
      .select((eb) => eb.fn.countAll<number>().as('total'))
      .executeTakeFirstOrThrow()
    t.equal(count, total)
    for (const query of ['since=2090-01-01T00:00:00Z', 'until=2020-01-01T00:00:00Z'])
      t.same((await service.admin.get(`${path}?${query}`)).json.data, [], query)
    for (const query of ['from=2090-01-01T00:00:00Z', 'to=2020-01-01T00:00:00Z'])
      t.same(
        (await service.admin.get(`${path}?${query}`)).json.data,
        [],
        `${query}, the parameter’s name until 1.0`
      )
    for (const bad of [
      'limit=0',
      'limit=201',
      'cursor=x',
      'since=x',
      'from=x',
      'outcome=maybe',
      'credentialId=x',
      'more=1'
    ]) {
      t.equal((await service.admin.get(`${path}?${bad}`)).status, 400, bad)
    }
  })

  t.test('is append-only', async (t) => {
    const attempts = [
      sql`delete from audit_log`,
      sql`truncate audit_log`,
      sql`update audit_log set actor_name = 'nobody'`,
      sql`update audit_log set count = 0`
    ]
    for (const attempt of attempts) await t.rejects(attempt.execute(service.db), /only ever added/)

    const columns = await columnsOfEvents(service.db)
    t.ok(columns.length >= 18)
    const insert = async (outcome: 'allowed' | 'denied') => {
      const id = randomUUID()
      await sql`insert into audit_log (id, action, outcome, actor_type, details, fold_key)
        values (${id}, 'test.counted', ${outcome}, 'system', '{"n": 1}',
          ${outcome === 'denied' ? id : null})`.execute(service.db)
      return id
    }
    const change = (id: string, column: string, value: string) =>
      sql`update audit_log set ${sql.ref(column)} = ${sql.raw(value)} where id = ${id}`.execute(service.db)
    const refusesAll = async (id: string, what: string, but?: string) => {
      for (const { name, type } of columns) {
        if (name !== but)
          await t.rejects(change(id, name, OTHER[type]!), /only ever added/, `${name} of ${what}`)
      }
    }
    await refusesAll(await insert('allowed'), 'an allowed action')
    const denied = await insert('denied')
    await refusesAll(denied, 'a denial', 'count')
    await t.rejects(
      change(denied, 'details', `'{"n": 1.0}'`),
      /only ever added/,
      'another text of the same JSON'
    )
    t.equal(
      (await change(denied, 'count', 'count + 1')).numAffectedRows,
      1n,
      'the count of a denial can grow'
    )
    await t.rejects(change(denied, 'count', 'count - 1'), /only ever added/, 'but not shrink')

    const isSealed = async (id: string) =>
      (await sql`select from audit_links where event_id = ${id}`.execute(service.db)).rows.length === 1
    await sealAll(service.db)
    t.equal(await isSealed(denied), false, 'a denial is not sealed while it is counted')
    await t.rejects(sql`update audit_unsealed set settled_at = now()`.execute(service.db), /only ever added/)
    await sql`delete from audit_unsealed where event_id = ${denied}`.execute(service.db)
    await sql`insert into audit_unsealed values (${denied}, now())`.execute(service.db)
    await sealAll(service.db)
    t.equal(await isSealed(denied), true)
    await refusesAll(denied, 'a denial that is sealed')
    const onChain = [
      sql`delete from audit_links`,
      sql`truncate audit_links`,
      sql`update audit_links set position = position + 1000`,
      sql`update audit_links set event_id = gen_random_uuid()`,
      sql`update audit_links set hash = decode(repeat('00', 32), 'hex')`
    ]
    for (const attempt of onChain) await t.rejects(attempt.execute(service.db), /only ever added/)
  })

  t.test('returns no value whose event cannot be written', async (t) => {
    const { id } = await newCredential(ann, type)
    const project = await newProject(ann)
    await ann.post(`${credentials}/${id}/assign-projects`, { projectIds: [project] })
    const machine = await newToken(ann, ['credentials:resolve'], { projectId: project })
    const bob = await service.newUser()
    await sql`alter table audit_log add constraint no_more check (false) not valid`.execute(service.db)
    try {
      const attempts: [string, Promise<{ status: number; text: string }>][] = [
        ['reveal', ann.post(`${credentials}/${id}/reveal`, {})],
        ['resolve', machine.post(`/api/v1/projects/${project}/resolve`, { credentials: [{ id }] })],
        ['a change', ann.put(`${credentials}/${id}`, { description: 'changed' })],
        ['a denial', bob.get(`${credentials}/${id}`)]
      ]
      for (const [name, attempt] of attempts) {
        const { status, text } = await attempt
        t.equal(status, 503, name)
        t.notMatch(text, 'hunter2')
      }
    } finally {
      await sql`alter table audit_log drop constraint no_more`.execute(service.db)
    }
    t.equal((await ann.get(`${credentials}/${id}`)).json.description, null, 'nothing was changed')
  })

  t.test('records concurrent reveals together, and one failure does not affect the others', async (t) => {
    const { id } = await newCredential(ann, type)
    const ids = Array.from({ length: 40 }, (_, i) => `handed-out-${i}`)
    await sql`alter table audit_log
      add constraint not_this check (request_id <> 'handed-out-20') not valid`.execute(service.db)
    const answers = await Promise.all(
      ids.map((requestId) =>
        ann.post(`${credentials}/${id}/reveal`, {}, { headers: { 'x-request-id': requestId } })
      )
    )
    await sql`alter table audit_log drop constraint not_this`.execute(service.db)
    const refused = answers.flatMap(({ status }, i) => (status === 200 ? [] : [`${i}: ${status}`]))
    t.same(refused, ['20: 503'])
    const events = await service.db
      .selectFrom('audit_log')
      .where('action', '=', 'credential.revealed')
      .where('request_id', 'like', 'handed-out-%')
      .select('request_id')
      .execute()
    t.same(
      new Set(events.map((event) => event.request_id)),
      new Set(ids.filter((requestId) => requestId !== 'handed-out-20'))
    )
    t.equal(events.length, 39, 'each one once')
  })
})

t.test('the audit chain', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  for (let i = 0; i < 8; i++) await newProject(ann)
  const { db } = service.app.services
  await Promise.all([sealEvents(service.db), sealEvents(service.db), sealEvents(db)])
  await sealAll(service.db)
  const whole = await verifyChain(service.db)
  t.equal(whole.broken, undefined)
  t.equal(whole.unsealed, 0)
  t.ok(whole.verified >= 10)
  const head = (await service.admin.get(`${path}/head`)).json
  t.same(head, { position: whole.head.position, hash: whole.head.hash.toString('hex') })
  await newProject(ann)
  t.equal((await verifyChain(service.db)).unsealed, 1)
  await sealAll(service.db)
  t.equal((await verifyChain(service.db)).verified, whole.verified + 1, 'positions continue')

  const tamper = async (name: string, statements: ReturnType<typeof sql>[], broken: object) => {
    await service.db
      .transaction()
      .execute(async (trx) => {
        await sql`set local session_replication_role = replica`.execute(trx)
        for (const statement of statements) await statement.execute(trx)
        t.match((await verifyChain(trx)).broken, broken, name)
        throw new Error('undo')
      })
      .catch((error) => {
        if (error.message !== 'undo') throw error
      })
  }
  const at = (position: number) => sql`(select event_id from audit_links where position = ${position})`
  const insertEvent = sql`insert into audit_log (id, action, outcome, actor_type)
    values ('00000000-0000-7000-8000-000000000000', 'credential.revealed', 'allowed', 'user')`
  const checked: Record<string, string> = { outcome: `'denied'`, actor_type: `'system'` }
  for (const { name, type } of await columnsOfEvents(service.db)) {
    const value = sql.raw(checked[name] ?? OTHER[type]!)
    // Not hashed: it is derived from other columns.
    if (name === 'fold_key') continue
    await tamper(
      `an event's ${name} changed`,
      [sql`update audit_log set ${sql.ref(name)} = ${value} where id = ${at(4)}`],
      { position: 4, what: name === 'id' ? 'missing' : 'changed' }
    )
  }
  await tamper('an event removed', [sql`delete from audit_log where id = ${at(5)}`], {
    position: 5,
    what: 'missing'
  })
  await tamper(
    'an event and its link removed',
    [sql`delete from audit_log where id = ${at(5)}`, sql`delete from audit_links where position = 5`],
    { position: 5, what: 'missing' }
  )
  await tamper(
    'an event inserted',
    [
      insertEvent,
      sql`update audit_links set position = position + 1000 where position >= 6`,
      sql`insert into audit_links (position, event_id, hash)
        values (6, '00000000-0000-7000-8000-000000000000', decode(repeat('00', 32), 'hex'))`
    ],
    { position: 6, what: 'changed' }
  )
  await tamper('an event inserted past the chain', [insertEvent], {
    id: '00000000-0000-7000-8000-000000000000',
    position: undefined,
    what: 'added'
  })
  await tamper(
    'a time changed by one microsecond',
    [sql`update audit_log set occurred_at = occurred_at + interval '1 microsecond' where id = ${at(2)}`],
    { position: 2, what: 'changed' }
  )
  await tamper(
    'two events swapped',
    [
      sql`update audit_links set position = 1000 where position = 2`,
      sql`update audit_links set position = 2 where position = 3`,
      sql`update audit_links set position = 3 where position = 1000`
    ],
    { position: 2, what: 'changed' }
  )
  const id = randomUUID()
  // A denial is not sealed while it may be counted, which is longer than this test runs.
  await sql`insert into audit_log (id, action, outcome, actor_type, fold_key)
    values (${id}, 'test.new', 'denied', 'system', ${id})`.execute(service.db)
  await tamper('an event removed before it was sealed', [sql`delete from audit_log where id = ${id}`], {
    id,
    position: undefined,
    what: 'missing'
  })
  await tamper('an event kept from being sealed', [sql`delete from audit_unsealed where event_id = ${id}`], {
    id,
    position: undefined,
    what: 'added'
  })
  t.equal((await verifyChain(service.db)).broken, undefined, 'the restored chain is intact')

  await sql`insert into audit_unsealed (event_id, settled_at)
    select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, now()
    from generate_series(1, 600) n`.execute(service.db)
  const project = await newProject(ann)
  await sealAll(service.db)
  const { rows } = await sql`select from audit_links c join audit_log e on e.id = c.event_id
    where e.target_id = ${project}`.execute(service.db)
  t.equal(rows.length, 1, 'missing events do not keep others from being sealed')
  await sql`delete from audit_unsealed where event_id < '00000000-0000-7000-8001-000000000000'`.execute(
    service.db
  )

  await sql`insert into audit_unsealed select event_id, now() from audit_links`.execute(service.db)
  const { position } = (await verifyChain(service.db)).head
  await sealAll(service.db)
  const verdict = await verifyChain(service.db)
  t.equal(verdict.broken, undefined)
  t.equal(verdict.head.position, position, 'no event is sealed twice')
})

t.test('the hash of an event can be computed from its columns', async (t) => {
  const service = await startTestApp(t)
  const id = randomUUID()
  const odd = Array.from({ length: 0x2fff }, (_, code) => String.fromCharCode(code + 1)).join('')
  await sql`insert into audit_log (id, action, outcome, actor_type, actor_name, target_name, details)
    values (${id}, 'test.odd', 'allowed', 'system', ${odd}, '\ud83d\udd11"\\/',
      '{"n": [1.50, null]}')`.execute(service.db)
  await sealAll(service.db)
  const { rows } = await sql<
    Record<string, string> & { position: number; hash: Buffer; previous: Buffer | null }
  >`
    select c.position, c.hash, p.hash as previous, e.id,
      (extract(epoch from e.occurred_at) * 1000000)::bigint::text as at, e.details::text as details
    from audit_log e join audit_links c on c.event_id = e.id
      left join audit_links p on p.position = c.position - 1
    where e.id = ${id}`.execute(service.db)
  const { position, previous, hash, at, details } = rows[0]!
  const nobody = [null, null, null, null, null, null]
  const columns = [
    id,
    at,
    'test.odd',
    'allowed',
    'system',
    null,
    odd,
    null,
    null,
    '\u{1f511}"\\/',
    ...nobody.slice(1)
  ]
  const content = JSON.stringify([position, ...columns, details, '1'])
  t.equal(
    createHash('sha256')
      .update(previous ?? Buffer.alloc(32))
      .update(content)
      .digest('hex'),
    hash.toString('hex')
  )
})
