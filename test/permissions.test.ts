import t, { type Test } from 'tap'
import { startTestApp } from './helpers/app.ts'
import {
  type Asked,
  CASES,
  type Case,
  copyOf,
  newWorld,
  type Row,
  readTable,
  type World
} from './helpers/permission-world.ts'

// Sends every request of the table in docs/reference/permissions.md, and checks the response, the changes and
// the audit log.

t.test(
  'every operation and kind of caller has the permissions in docs/reference/permissions.md',
  async (t) => {
    const service = await startTestApp(t)
    const rows = await readTable()
    const world = await newWorld(service)

    t.test('the table has exactly the operations of the document', async (t) => {
      const operations = Object.entries(service.contract.document.paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, { operationId }]) => [
          operationId,
          `${method.toUpperCase()} ${path}`
        ])
      )
      t.ok(operations.length > 40, 'there are operations')
      const inTable = [...rows.values()].map((row) => [row.operationId, row.request])
      const distinct = [...new Map(inTable.map((one) => [one.join(), one])).values()]
      t.same(distinct.sort(), operations.sort())
      t.same([...rows.keys()].sort(), Object.keys(CASES).sort(), 'each row is tested')
      const columns = [...new Set(world.callers.map((caller) => caller.column))]
      for (const [name, { expected }] of rows) t.same([...expected.keys()], columns, `callers of ${name}`)
    })

    for (const [name, row] of rows) {
      t.test(name, async (t) => {
        const one = CASES[name]
        if (one) await tryRow(t, world, row, one)
      })
    }
  }
)

async function tryRow(t: Test, world: World, { operationId, request, expected }: Row, one: Case) {
  const [method, template] = request.split(' ') as [string, string]
  const [found, wanted]: [Record<string, object>, Record<string, object>] = [{}, {}]
  let asked: Asked | undefined
  let before = await world.look(operationId)
  for (const caller of world.callers) {
    if (!asked || one.own || caller.before) {
      await caller.before?.()
      if (!asked || one.own) asked = await one.make(world, caller)
      before = await world.look(operationId)
    }
    const { params = {}, query, body } = asked
    const path = template.replace(/\{(\w+)\}/g, (_, key: string) => params[key]!)
    // A copy, so that cookies of the response do not affect later requests.
    const client = copyOf(asked.client ?? caller.client)
    const { status, headers } = await client.request(method, query ? `${path}?${query}` : path, body)
    const after = await world.look(operationId)

    const { actorId } = caller
    const isChange = (code: number) => method !== 'GET' && code < 300
    const denialsOf = (actor: string | null) =>
      (after.denials[actor ?? ''] ?? 0) - (before.denials[actor ?? ''] ?? 0)
    const denials = Object.keys(after.denials).reduce((sum, actor) => sum + denialsOf(actor), 0)
    const code = expected.get(caller.column)!
    // The session belongs to the user who signs in.
    const actor = operationId === 'createSession' ? world.stranger.person.id : actorId
    const denied = actorId !== null && isDenial(code) ? 1 : 0
    found[caller.name] = {
      status,
      changed: after.state !== before.state,
      denials: [denials, denialsOf(actorId)],
      doneBy: isChange(status) ? await world.actorsOf(headers.get('x-request-id')!) : []
    }
    wanted[caller.name] = {
      status: code,
      changed: isChange(code) && !one.still,
      denials: [denied, denied],
      doneBy: isChange(code) ? [actor] : []
    }
    if (after.state !== before.state) asked = undefined
    before = after
  }
  t.same(found, wanted, request)
}

/** True if the status is recorded as a denial. In this test, every 404 hides an existing resource. */
function isDenial(status: number): boolean {
  return status === 403 || status === 404
}
