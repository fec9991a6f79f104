// Three cells behind HAProxy, with the files in deploy/cells.
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { newAccessToken } from '../../src/crypto/access-tokens.ts'
import { newSessionToken } from '../../src/crypto/tokens.ts'
import type { Client } from '../helpers/client.ts'
import { eventually } from '../helpers/eventually.ts'
import { uniqueName } from '../helpers/fixtures.ts'
import { sendRawBytes } from '../helpers/raw-request.ts'
import { makeBed } from './bed.ts'
import { CALLERS, Load, makeWorld, PASSWORD, until, type World } from './cell-worlds.ts'
import { missingForCells, startCells } from './cells.ts'

const CREDENTIALS = '/api/v1/app-credentials'
const SDK = join(import.meta.dirname, '../../sdk/typescript/dist/index.js')
const skip = (await missingForCells()) ?? false

t.test('three cells act as one service', { skip, timeout: 240_000 }, async (t) => {
  const bed = await makeBed(t)
  const { cells, client, origin } = await startCells(t, bed)
  const worlds: World[] = []
  for (const cell of cells) worlds.push(await makeWorld(cell, client))
  const [a, b] = worlds as [World, World, World]

  await t.test('each cell has its own users, projects and credentials behind one address', async (t) => {
    for (const { cell, person, projectId, credentialId, personal, machine } of worlds) {
      t.match(person.cookie, new RegExp(`^latchkey_session=${cell.name}_`))
      for (const caller of [person, personal]) {
        t.equal((await caller.get(`${CREDENTIALS}/${credentialId}`)).status, 200)
        t.equal((await caller.get(CREDENTIALS)).json.total, 1)
        t.equal((await caller.get('/api/credentials')).json.credentials.length, 1, 'in Lightning format')
      }
      const resolved = await machine.post(`/api/v1/projects/${projectId}/resolve`, {
        credentials: [{ id: credentialId }]
      })
      t.equal(resolved.json.results[0].values.password, `of ${cell.name}`)
    }
    t.not(a.person.person.id, b.person.person.id)
  })

  await t.test('the TypeScript client and browsers need no configuration for cells', async (t) => {
    const sdk = await import(SDK)
    for (const { cell, projectId, credentialId, person, machine } of worlds) {
      const runner = sdk.createClient({ baseUrl: origin, token: machine.bearer! })
      const resolved = await runner.resolve(projectId, { id: credentialId })
      t.equal(resolved.values.password, `of ${cell.name}`)
      const ann = sdk.createClient({ baseUrl: origin })
      t.equal(
        (await ann.signIn({ email: person.person.email, password: PASSWORD })).user.id,
        person.person.id
      )
      const change = (site: string) =>
        person.post(
          '/api/v1/projects',
          { name: uniqueName('made in a browser') },
          { headers: { origin: site } }
        )
      t.equal((await change(origin)).status, 201)
      t.equal((await change(cell.origin)).status, 403, 'the address of the cell itself is another origin')
    }
  })

  await t.test('a token does not work in another cell, even if its cell name is changed', async (t) => {
    for (const { person, personal, cell } of worlds) {
      for (const other of worlds.filter((world) => world.cell !== cell)) {
        for (const caller of [person, personal])
          t.equal((await caller.get(`${CREDENTIALS}/${other.credentialId}`)).status, 404)
        const path = `/api/v1/projects/${other.projectId}/resolve`
        const body = { credentials: [{ id: other.credentialId }] }
        t.equal((await personal.post(path, body)).status, 403)
        const forged = client()
        forged.bearer = personal.bearer!.replace(`_${cell.name}_`, `_${other.cell.name}_`)
        t.equal((await forged.get(CREDENTIALS)).status, 401, 'other cell name, same checksum')
        forged.bearer = undefined
        forged.cookie = person.cookie!.replace(`=${cell.name}_`, `=${other.cell.name}_`)
        t.equal((await forged.get(CREDENTIALS)).status, 401, 'a session with another cell name')
      }
    }
    for (const name of [undefined, 'a', 'b', 'zz', 'any', 'twelve000012']) {
      const unknown = client()
      unknown.bearer = newAccessToken('personal', name)
      t.equal((await unknown.get(CREDENTIALS)).status, 401, `a token of cell ${name}`)
      unknown.bearer = undefined
      unknown.cookie = `latchkey_session=${newSessionToken(name)}`
      t.equal((await unknown.get(CREDENTIALS)).status, 401, `a session of cell ${name}`)
    }
  })

  await t.test('a cookie and a token of different cells are refused together', async (t) => {
    const mixed = client()
    mixed.bearer = b.personal.bearer
    mixed.cookie = a.person.cookie
    const refused = await mixed.get(CREDENTIALS)
    t.equal(refused.status, 400)
    t.match(refused.json.detail, /different cells/)
    mixed.cookie = b.person.cookie
    t.equal((await mixed.get(CREDENTIALS)).status, 200)
  })

  await t.test('any cell answers requests without a session or token', async (t) => {
    for (const path of ['/openapi.json', '/docs', '/livez', '/readyz'])
      t.equal((await fetch(origin + path)).status, 200, path)
    t.equal((await client().get(CREDENTIALS)).status, 401)
    const stranger = client()
    t.equal((await stranger.signIn({ email: 'nobody@b.example.org', password: PASSWORD })).status, 401)
    for (const raw of [
      '',
      '{',
      '[]',
      'null',
      '{"email": ["b.example.org"]}',
      '{"email": "@", "password": "x"}'
    ]) {
      const headers = { 'content-type': 'application/json' }
      const { status } = await stranger.post('/api/v1/session', undefined, { raw, headers })
      t.ok(status === 400 || status === 401, `${status} for ${raw}`)
    }
    const escaped = `{"email": "\\u0061dmin-b@example.org", "password": ${JSON.stringify(PASSWORD)}}`
    const headers = { 'content-type': 'application/json' }
    t.equal((await stranger.post('/api/v1/session', undefined, { raw: escaped, headers })).status, 200)
  })

  await t.test('duplicate headers, cookies and lengths do not route a caller to another cell', async (t) => {
    const [cookieOfA, tokenOfA] = [a.person.cookie!, a.personal.bearer!]
    const requests: [headers: string[], status: number, body?: string][] = [
      [[`authorization: Bearer ${b.personal.bearer}`, `authorization: Bearer ${tokenOfA}`], 400],
      [[`authorization: Bearer ${tokenOfA}`, `authorization: Bearer ${b.personal.bearer}`], 400],
      [[`authorization: Bearer ${tokenOfA}, Bearer ${b.personal.bearer}`], 401],
      [[`authorization: b`], 401],
      [[`cookie: latchkey_session=b_${'A'.repeat(43)}; ${cookieOfA}`], 400],
      [[`cookie: latchkey_session=b_${'A'.repeat(43)}`, `cookie: ${cookieOfA}`], 400],
      [[`cookie: __Host-latchkey_session=b_${'A'.repeat(43)}; ${cookieOfA}`], 401],
      [['x-forwarded-for: 10.9.8.7', 'x-original-url: /', `cookie: ${b.person.cookie}`], 200],
      [['content-length: 3', 'transfer-encoding: chunked', `cookie: ${cookieOfA}`], 404, '0\r\n\r\n'],
      [['content-length: 5', 'content-length: 6', `cookie: ${cookieOfA}`], 400],
      [[`cookie : ${cookieOfA}`], 400]
    ]
    for (const [headers, status, body = ''] of requests) {
      const lines = [
        `GET ${CREDENTIALS}/${b.credentialId} HTTP/1.1`,
        'host: x',
        'connection: close',
        ...headers
      ]
      const answer = await sendRawBytes(origin, `${lines.join('\r\n')}\r\n\r\n${body}`)
      t.equal(answer.status, status, headers.join().slice(0, 80))
      // HAProxy itself refuses invalid HTTP, with a body that is not JSON.
      if (status !== 200) t.equal(answer.json?.status ?? 400, status, 'a body in JSON is a problem document')
    }
    const shown = await a.admin.get('/api/v1/audit-events?pageSize=100')
    t.notOk(JSON.stringify(shown.json).includes('10.9.8.7'), 'the log has the address that the router saw')
  })

  await t.test('a replica that is stopped finishes its requests in progress', async (t) => {
    const trouble = new pg.Client(b.cell.databaseUrl)
    await trouble.connect()
    await trouble.query('begin; lock table projects in access exclusive mode')
    const begun = b.person.get('/api/v1/projects')
    await sleep(300)
    const stopped = b.cell.stopService()
    await until(() => b.person.get('/api/v1/session'), 503)
    await sleep(1_500)
    await trouble.query('rollback')
    await trouble.end()
    t.equal((await begun).status, 200)
    await stopped
    await b.cell.startService()
    await until(() => b.person.get(CREDENTIALS), 200)
  })

  await t.test('one address cannot use all connections, and a slow request gets 408', async (t) => {
    const port = Number(new URL(origin).port)
    const from = (address: string) => {
      const socket = connect({ port, host: '127.0.0.1', localAddress: address })
      return socket.on('error', () => {})
    }
    const held = Array.from({ length: 1_100 }, () => from('127.0.0.7'))
    const open = () => held.filter(({ closed }) => !closed).length
    await eventually(() => open() === 1_000, 'the connections over the limit are refused', 5_000)
    t.equal((await fetch(`${origin}/livez`)).status, 200, 'other addresses are served')
    const slow = from('127.0.0.8')
    slow.write('POST /api/v1/session HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{')
    const [answer] = await once(slow, 'data')
    t.match(String(answer), /^HTTP\/1.1 408 [\s\S]*"status":408,/)
    for (const socket of [...held, slow]) socket.destroy()
  })

  await t.test('killing a cell does not affect the others', async (t) => {
    const loads = worlds.map((world) => new Load(world))
    await sleep(1_500)
    await b.cell.kill()
    const refused = await until(() => b.person.get(CREDENTIALS), 503)
    t.match(refused.headers.get('content-type'), 'application/problem+json')
    t.equal(refused.headers.get('retry-after'), '2')
    t.equal(refused.json.code, 'unavailable')
    t.equal((await client().signIn(b.cell.admin)).status, 503, 'a sign-in to it is refused')
    await sleep(1_500)
    await b.cell.start()
    await until(() => b.person.get(CREDENTIALS), 200)
    await b.cell.killPostgres()
    await until(() => b.person.get(CREDENTIALS), 503)
    await sleep(1_000)
    await b.cell.startPostgres()
    await until(() => b.person.get(CREDENTIALS), 200)
    await sleep(1_000)
    for (const load of loads) await load.stop()
    for (const { world, faults, statuses, made, cut } of loads) {
      const { name } = world.cell
      t.comment(`cell ${name}: ${JSON.stringify(Object.fromEntries(statuses))}, ${cut} cut`)
      t.same(faults, [], `cell ${name}: only 200, 201 and 503, and the right values`)
      if (world === b) {
        t.ok(statuses.get(503)! > 0, 'it refused requests')
        t.ok(cut <= 2 * CALLERS, 'it cut at most the requests in progress at each kill')
      } else {
        t.equal(statuses.get(503), undefined, `cell ${name} refused no request`)
        t.equal(cut, 0, `cell ${name} cut no request`)
      }
      t.ok(made.size > 0, `cell ${name} created ${made.size} credentials`)
      const kept = await listNames(world.person)
      t.same(
        [...made].filter((one) => !kept.includes(one)),
        [],
        `cell ${name} lost no acknowledged credential`
      )
    }
  })

  await t.test('without cell a, another cell answers requests without a session or token', async (t) => {
    await a.cell.kill()
    await until(() => a.person.get(CREDENTIALS), 503)
    for (const path of ['/openapi.json', '/docs', '/readyz'])
      t.equal((await fetch(origin + path)).status, 200, path)
    const old = client()
    old.bearer = newAccessToken('personal')
    t.equal((await old.get(CREDENTIALS)).status, 503, 'a token without a cell name belongs to cell a')
    t.equal((await b.person.get(CREDENTIALS)).status, 200)
  })
})

async function listNames(client: Client): Promise<string[]> {
  const names: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { json } = await client.get(`${CREDENTIALS}?pageSize=100${cursor && `&cursor=${cursor}`}`)
    names.push(...json.data.map((one: { credentialName: string }) => one.credentialName))
    cursor = json.nextCursor
  }
  return names
}
