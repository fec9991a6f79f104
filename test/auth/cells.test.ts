import t from 'tap'
import { newAccessToken, parseAccessToken } from '../../src/crypto/access-tokens.ts'
import { newSessionToken, parseSessionToken } from '../../src/crypto/tokens.ts'
import { startTestApp } from '../helpers/app.ts'
import { newProject } from '../helpers/fixtures.ts'
import { startReplica } from '../helpers/replica.ts'
import { newToken } from '../helpers/tokens.ts'

// The cell in tokens. test/ops/cells.test.ts tests the router that reads it.

const PATH = '/api/v1/app-credentials'

t.test('a token contains its cell, which parsers can separate from the rest', (t) => {
  for (const cell of [undefined, 'a', '7', 'eu1', 'twelve000012']) {
    for (let i = 0; i < 200; i++) {
      t.same(parseSessionToken(newSessionToken(cell)), { cell })
      t.same(parseAccessToken(newAccessToken('project', cell)), { cell })
    }
  }
  for (const cell of ['A', 'a_b', 'a.b', 'é', 'thirteen00013', ' a', 'a\n']) {
    t.equal(parseSessionToken(newSessionToken(cell)), undefined, cell)
    t.equal(parseAccessToken(newAccessToken('personal', cell)), undefined, cell)
  }
  t.end()
})

t.test('with LATCHKEY_CELL, sessions and tokens contain the cell', async (t) => {
  const service = await startTestApp(t, { LATCHKEY_CELL: 'eu1' })
  const ann = await service.newUser()
  t.match(ann.cookie, /^latchkey_session=eu1_[\w-]{43}$/)
  const personal = await newToken(ann, ['credentials:read'])
  t.match(personal.bearer, /^lk_pat_eu1_[\w-]{43}\w{6}$/)
  const projectId = await newProject(ann)
  const machine = await newToken(ann, ['credentials:read'], { projectId })
  t.match(machine.bearer, /^lk_prj_eu1_[\w-]{43}\w{6}$/)

  const unnamed = await startReplica(t, service)
  const other = await startReplica(t, service, { env: { LATCHKEY_CELL: 'us1' } })
  t.test('sessions and tokens stay valid when LATCHKEY_CELL is set, changed or unset', async (t) => {
    const old = unnamed.client()
    await old.signIn(ann.person)
    t.match(old.cookie, /^latchkey_session=[\w-]{43}$/)
    const oldToken = await newToken(old, ['credentials:read'])
    for (const origin of [service.origin, unnamed.origin, other.origin]) {
      for (const { cookie, bearer } of [ann, personal, machine, old, oldToken]) {
        const caller = Object.assign(unnamed.client(), { origin, cookie, bearer })
        t.equal((await caller.get(`${PATH}/by-project/${projectId}`)).status, 200)
      }
    }
  })

  t.test('a token with a changed cell is unknown', async (t) => {
    const caller = service.anonymous()
    for (const name of ['', 'eu2_', 'us1_', 'eu1_eu1_']) {
      caller.cookie = ann.cookie!.replace('eu1_', name)
      t.equal((await caller.get(PATH)).status, 401, `the session with ${name || 'no cell'}`)
    }
    caller.cookie = undefined
    // New tokens with a valid checksum, which covers the whole token.
    for (const cell of [undefined, 'eu1', 'eu2']) {
      caller.bearer = newAccessToken('personal', cell)
      t.equal((await caller.get(PATH)).status, 401, `a token of ${cell}`)
    }
    caller.bearer = personal.bearer!.replace('eu1_', 'eu2_')
    t.equal((await caller.get(PATH)).status, 401)
  })

  t.test('a cookie of another cell together with a token is refused', async (t) => {
    const caller = service.anonymous()
    caller.bearer = personal.bearer
    const withCookie = (token: string) =>
      caller.get(PATH, { headers: { cookie: `latchkey_session=${token}` } })
    for (const surface of [PATH, '/api/credentials']) {
      const cookie = `latchkey_session=${newSessionToken('us1')}`
      t.equal((await caller.get(surface, { headers: { cookie } })).status, 400, surface)
    }
    t.equal((await withCookie(newSessionToken('eu1'))).status, 200, 'a session that has ended')
    t.equal((await withCookie(newSessionToken(undefined))).status, 200, 'the same, without a cell')
    t.equal((await withCookie(ann.cookie!.split('=')[1]!)).status, 200, 'the same person')
    caller.bearer = newAccessToken('personal', 'us1')
    t.equal(
      (await withCookie(ann.cookie!.split('=')[1]!)).status,
      401,
      'an unknown token, whatever the cookie'
    )
  })
})
