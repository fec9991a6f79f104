import { randomInt, randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { reencryptAll } from '../../../src/features/keys/reencrypt.ts'
import { startTestApp } from '../../helpers/app.ts'
import type { Client } from '../../helpers/client.ts'
import { eventually } from '../../helpers/eventually.ts'
import { newProject, newType, uniqueName } from '../../helpers/fixtures.ts'
import { rotate, valuesByKey } from '../../helpers/keys.ts'
import { startReplica } from '../../helpers/replica.ts'

t.setTimeout(240_000)

const path = '/api/v1/app-credentials'
const SEED = Number(process.env.FAST_CHECK_SEED ?? randomInt(2 ** 31))
const BOUND_MS = 30_000

/** An operation on one of the two replicas and one of the existing credentials. */
type Step = { on: 0 | 1; which: number } & (
  | { do: 'create' | 'reveal' | 'resolve' | 'delete' | 'rotate' | 're-encrypt' | 'read' }
  | { do: 'update' | 'environment'; value: string }
)

const simple = (name: Exclude<Step['do'], 'update' | 'environment'>, weight: number) => ({
  weight,
  arbitrary: fc.record({ do: fc.constant(name), on: fc.constantFrom(0, 1), which: fc.nat(9) })
})
const withValue = (name: 'update' | 'environment', weight: number) => ({
  weight,
  arbitrary: fc.record({
    do: fc.constant(name),
    on: fc.constantFrom(0, 1),
    which: fc.nat(9),
    value: fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme-ascii' })
  })
})
const step = fc.oneof(
  simple('create', 4),
  simple('reveal', 4),
  simple('resolve', 2),
  simple('read', 2),
  simple('delete', 1),
  simple('rotate', 3),
  simple('re-encrypt', 3),
  withValue('update', 4),
  withValue('environment', 2)
)
// The steps of a round run concurrently.
const rounds = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 3, maxLength: 10 })

t.test('with any interleaving of writes and key changes, each value is the last stored one', async (t) => {
  t.comment(`FAST_CHECK_SEED=${SEED}`)
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const type = await newType(ann, [
    { fieldName: 'plain', fieldLabel: 'Plain', fieldType: 'text', secret: false, required: false },
    { fieldName: 'password', fieldLabel: 'Password', fieldType: 'password' }
  ])
  const projectId = await newProject(ann)
  const token = await ann.post('/api/v1/access-tokens', {
    name: 'machine',
    scopes: ['credentials:resolve'],
    projectId
  })
  const replica = await startReplica(t, service)
  const apps = [service.app, replica.app] as const
  const callers = [ann, replica.client(ann)] as const
  const machines = [service.anonymous(), replica.client()] as const
  for (const machine of machines) machine.bearer = token.json.token
  const [plain, password] = [type.field['plain'], type.field['password']]
  const keysOf = (value: string) => [plain, password].map((fieldId) => ({ fieldId, keyValue: value }))

  /** The possible values by credential and environment. There are several while writes run. */
  type Model = Map<string, Map<string, Set<string>>>

  let done = 0
  async function perform(model: Model, ids: readonly string[], { on, ...step }: Step): Promise<void> {
    done++
    const [client, id] = [callers[on], ids[step.which % Math.max(1, ids.length)]]
    if (step.do === 'rotate') return void (await rotate(service))
    if (step.do === 're-encrypt') return void (await reencryptAll(service.db, apps[on].services.keyring))
    if (step.do === 'create') {
      const value = randomUUID()
      const made = await answered(
        client.post(path, {
          credentialName: uniqueName('credential'),
          credentialTypeId: type.id,
          keys: keysOf(value),
          projectIds: [projectId]
        }),
        201
      )
      model.set(made.json.id, new Map([['main', new Set([value])]]))
      return
    }
    if (id === undefined) return
    const known = model.get(id)
    if (step.do === 'update' || step.do === 'environment') {
      const environment = step.do === 'update' ? 'main' : 'test'
      const body = { keys: keysOf(step.value) }
      const to = step.do === 'update' ? `${path}/${id}` : `${path}/${id}/environments/test`
      const values = known?.get(environment) ?? new Set()
      values.add(step.value)
      known?.set(environment, values)
      await answered(client.put(to, body), 200, 404)
    } else if (step.do === 'delete') {
      await answered(client.delete(`${path}/${id}`), 200, 404)
      model.delete(id)
    } else if (step.do === 'read') {
      const { status, json } = await answered(client.get(`${path}/${id}`), 200, 404)
      const value = status === 200 && json.keys[0].keyValue
      if (value && !known?.get('main')?.has(value)) throw new Error(`read ${value}`)
    } else if (step.do === 'reveal') {
      const { status, json } = await answered(client.post(`${path}/${id}/reveal`, {}), 200, 404)
      if (status === 200)
        expectAll(
          json.keys.map((key: { keyValue: string }) => key.keyValue),
          known
        )
    } else {
      const { json } = await answered(
        machines[on].post(`/api/v1/projects/${projectId}/resolve`, { credentials: [{ id }] }),
        200
      )
      const [one] = json.results
      if (one.error) {
        if (one.error.code !== 'not-found') throw new Error(one.error.code)
      } else expectAll(Object.values(one.values), known)
    }
  }

  const began = Date.now()
  await fc.assert(
    fc.asyncProperty(rounds, async (rounds) => {
      const model: Model = new Map()
      for (const round of rounds) {
        const ids = [...model.keys()]
        await Promise.all(round.map((step) => perform(model, ids, step as Step)))
        // After each round, both replicas return one value.
        for (const id of model.keys()) await settle(model, id, callers)
      }
      for (const id of model.keys()) await ann.delete(`${path}/${id}`)
    }),
    {
      seed: SEED,
      numRuns: 1_000,
      interruptAfterTimeLimit: BOUND_MS,
      markInterruptAsFailure: false,
      endOnFailure: true
    }
  )
  t.ok(done > 50, `${done} steps in ${Date.now() - began} ms`)
  const { keyring } = service.app.services
  // The last round may still run: the time limit does not stop it.
  await eventually(async () => {
    await keyring.refresh()
    await reencryptAll(service.db, keyring)
    return Object.keys(await valuesByKey(service)).every((number) => Number(number) === keyring.current)
  }, 'all values use the current data key')
  t.ok(keyring.current > 3, `${keyring.current} data keys were made`)
})

async function answered(answer: ReturnType<Client['get']>, ...statuses: number[]) {
  const { status, text, json } = await answer
  if (!statuses.includes(status)) throw new Error(`${status} ${text}`)
  return { status, json }
}

// Skips credentials that were created or deleted in the same round: they are not in the model, and
// decryption has already checked the tags of their values.
function expectAll(values: unknown[], known: Map<string, Set<string>> | undefined) {
  const expected = known?.get('main')
  if (!expected) return
  for (const value of values) {
    if (!expected.has(value as string)) throw new Error(`${value} was never stored here`)
  }
  if (new Set(values).size > 1) throw new Error(`values of two writes: ${values}`)
}

async function settle(
  model: Map<string, Map<string, Set<string>>>,
  id: string,
  callers: readonly Client[]
): Promise<void> {
  for (const [environment, expected] of model.get(id)!) {
    const answers = await Promise.all(
      callers.map((client) => answered(client.post(`${path}/${id}/reveal`, { environment }), 200))
    )
    const values = answers.flatMap(({ json }) => json.keys.map((key: { keyValue: string }) => key.keyValue))
    expectAll(values, new Map([['main', expected]]))
    if (values.length !== 4) throw new Error(`${values.length} values`)
    model.get(id)!.set(environment, new Set(values as string[]))
  }
}
