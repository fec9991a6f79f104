// Sends valid and invalid requests, generated from the API document, for `FUZZ_SECONDS`. A failure prints a
// seed and a path: `FUZZ_SEED=… FUZZ_PATH=… npm run test:fuzz` sends the same requests again, and continues
// to look for fewer and simpler ones that fail.
import fc from 'fast-check'
import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { send } from '../helpers/raw-request.ts'
import { bytesOf, operationsOf, requestsOf, type Step } from './requests.ts'
import { encodedPart } from './url.ts'
import { type Caller, type Seen, World } from './world.ts'

const { FUZZ_SECONDS = '100', FUZZ_SEED, FUZZ_PATH } = process.env
const MAX_REQUESTS = 60

const service = await startTestApp(t, { LOG_LEVEL: 'error' })
const { contract, origin } = service
const operations = operationsOf(contract)
/** The number of responses by operation and status. */
const statuses = new Map(operations.map(({ operationId }) => [operationId, new Map<number, number>()]))

interface Request {
  method: string
  path: string
  headers: Record<string, string>
  bytes?: Buffer
}

/** Builds the request of a step, with the values of the run. */
function requestOf(world: World, step: Step, sender: Caller, path: Record<string, string>): Request {
  const { operation, query, headers, body } = step
  const url = operation.path.replace(/\{([^}]+)\}/g, (_all, name: string) => encodedPart(path[name]!))
  const asked = query.map(([name, part]) => {
    const filled = world.fill(part, sender)
    const text = typeof filled === 'object' ? JSON.stringify(filled) : String(filled)
    return `${encodedPart(name)}=${encodedPart(text)}`
  })
  const request: Request = {
    method: operation.method,
    path: asked.length > 0 ? `${url}?${asked.join('&')}` : url,
    headers: { ...headers, ...sender.headers }
  }
  if (!body) return request
  const { schema } = (body.value ?? {}) as { schema?: unknown }
  const isRaw =
    operation.operationId === 'lightningCreateCredential' && (schema === undefined || schema === 'raw')
  const value = world.fill(body.value, sender, { isRaw, ...(path.id !== undefined && { of: path.id }) })
  const withType = { ...request.headers, 'content-type': body.type }
  return { ...request, headers: withType, bytes: bytesOf(value, body.damage) }
}

/**
 * Returns true if the document allows the body. Lightning-compatible bodies are always allowed, because
 * it ignores unknown properties.
 */
function isAllowed({ operation }: Step, { bytes }: Request): boolean {
  if (!operation.body || !bytes || operation.operationId.startsWith('lightning')) return true
  try {
    // RFC 8259, section 8.1, allows a parser to ignore a BOM, as this one does.
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return contract.schema(operation.body.pointer)(value) === true
  } catch {
    return false
  }
}

/** Lists the leaks and the violations of the document in a response. */
function flawsOf(world: World, step: Step, sender: Caller, request: Request, answer: Seen, type: string) {
  const { operationId } = step.operation
  const { status, text } = answer
  const flaws = world.leaked(operationId, sender, answer).map((leak) => `${leak} is in the response`)
  if (status >= 500) flaws.push(`${status}`)
  // Unreadable requests reach no operation. The document describes them once, in its introduction.
  if (status === 431 && request.path.length > 8000) return flaws
  if (status === 400 && answer.json?.code === 'malformed-url') return flaws
  // With an empty part, it is not the path of the operation.
  if (/\/(\/|\?|$)/.test(request.path) && [400, 401, 403, 404].includes(status)) return flaws
  const flaw = contract.flaw(request.method, request.path.split('?')[0]!, status, type, text)
  if (flaw) flaws.push(flaw)
  if (status < 300 && !isAllowed(step, request)) flaws.push('it accepted a body that the document forbids')
  return flaws
}

const cut = (whole: string) => {
  const text = whole.replace(/(.)\1{50,}/gsu, (run, one: string) => `${one}… (${run.length})`)
  return text.length > 3000 ? `${text.slice(0, 3000)}… (${text.length})` : text
}

async function sendStep(world: World, step: Step): Promise<void> {
  const sender = world.caller(step.caller, step.nth)
  const path = Object.fromEntries(
    Object.entries(step.path).map(([name, part]) => [name, String(world.fill(part, sender))])
  )
  const request = requestOf(world, step, sender, path)
  const { method, headers, bytes } = request
  const answer = await send(origin, request.path, { method, headers, ...(bytes && { body: bytes }) })
  const { operationId } = step.operation
  const counts = statuses.get(operationId)!
  counts.set(answer.status, (counts.get(answer.status) ?? 0) + 1)
  const type = answer.headers['content-type'] ?? ''
  const flaws = flawsOf(world, step, sender, request, answer, type)
  if (flaws.length > 0) {
    const sent = `${step.caller}: ${method} ${cut(request.path)} ${cut(JSON.stringify(step.headers))}`
    const body = bytes ? cut(bytes.toString()) : ''
    throw new Error([operationId, ...flaws, sent, body, `${answer.status} ${cut(answer.text)}`].join('\n'))
  }
  world.learn(step, path, sender, answer)
}

/** Sends the requests of one run, then checks that the service is ready and has logged no error. */
async function run(steps: Step[]): Promise<void> {
  // Sign-in failures are counted by address. All callers share one, so new users soon could not sign in.
  await service.db.deleteFrom('login_failures').execute()
  const world = await World.begin(service)
  for (const step of steps) await sendStep(world, step)
  const ready = await send(origin, '/readyz')
  if (ready.status !== 200) throw new Error(`not ready: ${ready.status} ${ready.text}`)
  if (service.log.length > 0) throw new Error(`an error in the log: ${cut(service.log.splice(0).join(''))}`)
}

t.test('every response to generated requests is as documented', async (t) => {
  t.ok(operations.length > 40, `${operations.length} operations`)
  const outcome = await fc.check(fc.asyncProperty(requestsOf(contract, operations, MAX_REQUESTS), run), {
    numRuns: 1_000_000,
    interruptAfterTimeLimit: Number(FUZZ_SECONDS) * 1000,
    endOnFailure: false,
    ...(FUZZ_SEED && { seed: Number(FUZZ_SEED) }),
    ...(FUZZ_PATH && { path: FUZZ_PATH })
  })
  const { failed, seed, counterexamplePath, numRuns, counterexample, errorInstance } = outcome
  t.comment(`${numRuns} runs; FUZZ_SEED=${seed}${failed ? ` FUZZ_PATH=${counterexamplePath}` : ''}`)
  const done = operations.filter(({ operationId }) =>
    [...statuses.get(operationId)!.keys()].some((status) => status < 300)
  )
  // Otherwise, the test could pass without finding much: most operations succeed only with the resources that
  // others have created.
  if (!FUZZ_PATH && !failed && numRuns > 50)
    t.ok(done.length > 0.8 * operations.length, `${done.length} operations succeeded`)
  for (const [operationId, counts] of statuses) {
    const sorted = [...counts].sort(([a], [b]) => a - b)
    t.comment(`${operationId}: ${sorted.map(([status, count]) => `${status} × ${count}`).join(', ')}`)
  }
  if (failed) {
    t.comment(cut(fc.stringify(counterexample)))
    t.fail(`FUZZ_SEED=${seed} FUZZ_PATH=${counterexamplePath}: ${(errorInstance as Error | null)?.message}`)
  }
})
