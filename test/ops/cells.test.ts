// Three cells behind HAProxy, with the files of deploy/cells.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { newAccessToken } from '../../src/crypto/access-tokens.ts'
import { newSessionToken } from '../../src/crypto/tokens.ts'
import type { Client } from '../helpers/client.ts'
import { eventually } from '../helpers/eventually.ts'
import { newProject, uniqueName } from '../helpers/fixtures.ts'
import { sendRawBytes } from '../helpers/raw-request.ts'
import { newToken } from '../helpers/tokens.ts'
import { makeBed } from './bed.ts'
import { type Cell, missingForCells, startCells } from './cells.ts'

const CREDENTIALS = '/api/v1/app-credentials'
/** Callers of each cell under load. */
const CALLERS = 2
const PASSWORD = 'correct horse battery'
const skip = (await missingForCells()) ?? false

/** What a cell holds, each made through the router by somebody of that cell. */
interface World {
  cell: Cell
  admin: Client
  person: Client
  projectId: string
  credentialId: string
  personal: Client
  machine: Client
}

t.test('three cells are one service', { skip, timeout: 240_000 }, async (t) => {
  const bed = await makeBed(t)
  const { cells, client, origin } = await startCells(t, bed)
  const worlds: World[] = []
  for (const cell of cells) worlds.push(await makeWorld(cell, client))
  const [a, b] = worlds as [World, World, World]

  await t.test('each cell has its own people, projects and credentials, under one address', async (t) => {
    for (const { cell, person, projectId, credentialId, personal, machine } of worlds) {
      t.match(person.cookie, new RegExp(`^latchkey_session=${cell.name}_`))
      for (const caller of [person, personal]) {
        t.equal((await caller.get(`${CREDENTIALS}/${credentialId}`)).status, 200)
        t.equal((await caller.get(CREDENTIALS)).json.total, 1)
        t.equal((await caller.get('/api/credentials')).json.credentials.length, 1, 'as Lightning has it')
      }
      const resolved = await machine.post(`/api/v1/projects/${projectId}/resolve`, {
        credentials: [{ id: credentialId }]
      })
      t.equal(resolved.json.results[0].values.password, `of ${cell.name}`)
    }
    t.not(a.person.person.id, b.person.person.id)
  })

  await t.test("another cell's token finds nothing, and its name opens nothing", async (t) => {
    for (const { person, personal, cell } of worlds) {
      for (const other of worlds.filter((world) => world.cell !== cell)) {
        for (const caller of [person, personal])
          t.equal((await caller.get(`${CREDENTIALS}/${other.credentialId}`)).status, 404)
        const path = `/api/v1/projects/${other.projectId}/resolve`
        const body = { credentials: [{ id: other.credentialId }] }
        t.equal((await personal.post(path, body)).status, 403)
        const forged = client()
        forged.bearer = personal.bearer!.replace(`_${cell.name}_`, `_${other.cell.name}_`)
        t.equal((await forged.get(CREDENTIALS)).status, 401, 'the name changed, the checksum not')
        forged.bearer = undefined
        forged.cookie = person.cookie!.replace(`=${cell.name}_`, `=${other.cell.name}_`)
        t.equal((await forged.get(CREDENTIALS)).status, 401, 'the name of a session changed')
      }
    }
    for (const name of [undefined, 'a', 'b', 'zz', 'any', 'twelve000012']) {
      const nobody = client()
      nobody.bearer = newAccessToken('personal', name)
      t.equal((await nobody.get(CREDENTIALS)).status, 401, `a token of ${name}`)
      nobody.bearer = undefined
      nobody.cookie = `latchkey_session=${newSessionToken(name)}`
      t.equal((await nobody.get(CREDENTIALS)).status, 401, `a session of ${name}`)
    }
  })

  await t.test('a cookie of one cell and a token of another are two callers', async (t) => {
    const mixed = client()
    mixed.bearer = b.personal.bearer
    mixed.cookie = a.person.cookie
    const refused = await mixed.get(CREDENTIALS)
    t.equal(refused.status, 400)
    t.match(refused.json.detail, /different cells/)
    mixed.cookie = b.person.cookie
    t.equal((await mixed.get(CREDENTIALS)).status, 200)
  })

  await t.test('who presents nothing is answered by any cell', async (t) => {
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

  await t.test('no second header, name or line leads a token to where it is not from', async (t) => {
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
      // What is no HTTP, HAProxy refuses in its own words.
      if (status !== 200) t.equal(answer.json?.status ?? 400, status, 'a problem of the contract')
    }
    const shown = await a.admin.get('/api/v1/audit-events?pageSize=100')
    t.notOk(JSON.stringify(shown.json).includes('10.9.8.7'), 'an address is the one that the router saw')
  })

  await t.test('a cell that is killed takes nobody with it', async (t) => {
    const loads = worlds.map((world) => new Load(world))
    await sleep(1_500)
    await b.cell.kill()
    const refused = await until(() => b.person.get(CREDENTIALS), 503)
    t.match(refused.headers.get('content-type'), 'application/problem+json')
    t.equal(refused.headers.get('retry-after'), '2')
    t.equal(refused.json.code, 'unavailable')
    t.equal((await client().signIn(b.cell.admin)).status, 503, 'nobody signs in to it')
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
      t.same(faults, [], `cell ${name}: no other answer than 201, 200 or 503, and nothing torn`)
      if (world === b) {
        t.ok(statuses.get(503)! > 0, 'it refused some')
        t.ok(cut <= 2 * CALLERS, 'and cut what was on its way at a kill, at most')
      } else {
        t.equal(statuses.get(503), undefined, `cell ${name} refused nothing`)
        t.equal(cut, 0, `cell ${name} cut nothing`)
      }
      t.ok(made.size > 0, `cell ${name} made ${made.size}`)
      const kept = await listNames(world.person)
      t.same(
        [...made].filter((one) => !kept.includes(one)),
        [],
        `cell ${name} lost nothing that it acknowledged`
      )
    }
  })

  await t.test('without cell a, who presents nothing is answered by another', async (t) => {
    await a.cell.kill()
    await until(() => a.person.get(CREDENTIALS), 503)
    for (const path of ['/openapi.json', '/docs', '/readyz'])
      t.equal((await fetch(origin + path)).status, 200, path)
    const old = client()
    old.bearer = newAccessToken('personal')
    t.equal((await old.get(CREDENTIALS)).status, 503, 'a token without a name waits for cell a')
    t.equal((await b.person.get(CREDENTIALS)).status, 200)
  })
})

async function makeWorld(cell: Cell, client: () => Client): Promise<World> {
  const admin = client()
  await until(() => admin.signIn(cell.admin), 200)
  const email = `ann@${cell.name}.example.org`
  const user = await admin.post('/api/v1/users', { email, name: 'Ann', password: PASSWORD, role: 'user' })
  if (user.status !== 201) throw new Error(user.text)
  const person = client()
  await person.signIn({ email, password: PASSWORD })
  const projectId = await newProject(person)
  const made = await person.post(CREDENTIALS, {
    credentialName: 'The same name everywhere',
    credentialType: 'basic-auth',
    projectIds: [projectId],
    values: { username: 'ann', password: `of ${cell.name}` }
  })
  if (made.status !== 201) throw new Error(made.text)
  return {
    cell,
    admin,
    person,
    projectId,
    credentialId: made.json.id,
    personal: await newToken(person, ['credentials:read', 'credentials:write', 'credentials:reveal']),
    machine: await newToken(person, ['credentials:resolve'], { projectId })
  }
}

/** Repeats a request until it has this status. */
async function until(send: () => ReturnType<Client['get']>, status: number) {
  await eventually(async () => (await send()).status === status, `an answer is ${status}`, 60_000)
  return send()
}

async function listNames(client: Client): Promise<string[]> {
  const names: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { json } = await client.get(`${CREDENTIALS}?pageSize=100${cursor && `&cursor=${cursor}`}`)
    names.push(...json.data.map((one: { credentialName: string }) => one.credentialName))
    cursor = json.nextCursor
  }
  return names
}

/** Creates credentials and resolves one, over and over, and writes down what was answered. */
class Load {
  readonly world: World
  readonly statuses = new Map<number, number>()
  readonly faults: string[] = []
  /** The names whose creation was acknowledged. */
  readonly made = new Set<string>()
  /** Requests whose connection was closed without an answer. */
  cut = 0
  #isRunning = true
  readonly #ended: Promise<unknown>

  constructor(world: World) {
    this.world = world
    this.#ended = Promise.all([this.#repeat(() => this.#create()), this.#repeat(() => this.#resolve())])
  }

  async stop(): Promise<void> {
    this.#isRunning = false
    await this.#ended
  }

  async #repeat(send: () => Promise<number>): Promise<void> {
    for (; this.#isRunning; await sleep(5)) {
      try {
        const status = await send()
        this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
      } catch (error) {
        if ((error as Error).message === 'fetch failed') this.cut++
        else this.faults.push((error as Error).message)
      }
    }
  }

  async #create(): Promise<number> {
    const credentialName = uniqueName('load')
    const body = { credentialName, credentialType: 'basic-auth', values: { username: 'x', password: 'y' } }
    const { status, text } = await this.world.personal.post(CREDENTIALS, body)
    if (status === 201) this.made.add(credentialName)
    else if (status !== 503) this.faults.push(text)
    return status
  }

  async #resolve(): Promise<number> {
    const { machine, projectId, credentialId, cell } = this.world
    const body = { credentials: [{ id: credentialId }] }
    const { status, text, json } = await machine.post(`/api/v1/projects/${projectId}/resolve`, body)
    if (status === 200 && json.results[0].values.password !== `of ${cell.name}`) this.faults.push(text)
    if (status !== 200 && status !== 503) this.faults.push(text)
    return status
  }
}
