import fc, { type Arbitrary } from 'fast-check'
import type { Contract, Operation as Documented, Parameter } from '../helpers/contract.ts'
import { pointerPart } from '../helpers/contract.ts'
import { anything, broken, idOf, oddText, type Resolve, type Schema, valid } from './arbitraries.ts'

/** The parts of an operation that a request needs. */
export interface Operation {
  operationId: string
  method: string
  path: string
  parameters: { name: string; in: string; required: boolean; schema: Schema }[]
  /** Undefined if the operation has no request body. */
  body?: { schema: Schema; pointer: string }
  /** True if a session may call it, and not only a token. */
  forSessions: boolean
}

/** The ways to corrupt the text of a body. */
const DAMAGES = [
  'cut off',
  'more after it',
  'a key twice',
  'a BOM',
  'UTF-16',
  'no UTF-8',
  'infinite',
  'deep',
  'big'
]
type Damage = (typeof DAMAGES)[number]

/** One request, with blanks for the values that are known only during the run. */
export interface Step {
  operation: Operation
  caller: string
  /** Which of the created tokens the caller `maker` uses, counted from the newest. */
  nth: number
  path: Record<string, unknown>
  query: [name: string, value: unknown][]
  headers: Record<string, string>
  body: { value: unknown; type: string; damage?: Damage } | undefined
}

/** The callers with their weights. `maker` uses a token that was created in the run. */
export const CALLERS = {
  ann: 14,
  bob: 5,
  boss: 6,
  personal: 5,
  machine: 3,
  maker: 1,
  nobody: 1,
  'garbage cookie': 1,
  'garbage token': 1
}

/** Operations that may leave their sender unauthenticated for the rest of the run. */
const ENDINGS = ['deleteSession', 'endSession', 'changePassword', 'updateUser', 'deleteUser']

export function operationsOf(contract: Contract): Operation[] {
  const { paths } = contract.document
  type Whole = Documented & {
    requestBody?: { content: Record<string, { schema: Schema }> }
    security?: Record<string, string[]>[]
  }
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, one]) => {
      const { operationId, parameters = [], requestBody, security = [] } = one as Whole
      const pointer = `#/paths/${pointerPart(path)}/${method}/requestBody/content/application~1json/schema`
      return {
        operationId,
        method: method.toUpperCase(),
        path,
        parameters: parameters.map((part) => contract.resolved<Parameter>(part) as never),
        ...(requestBody && { body: { schema: requestBody.content['application/json']!.schema, pointer } }),
        forSessions: security.length === 0 || security.some((way) => 'session' in way)
      }
    })
  )
}

/** Returns the kind of the last resource in a path: that of `{id}`, and what a create returns. */
export function kindOf(path: string): string {
  const named: Record<string, string> = {
    'app-credentials': 'credential',
    credentials: 'credential',
    'credential-types': 'type',
    projects: 'project',
    users: 'user',
    members: 'user',
    sessions: 'session',
    'access-tokens': 'token',
    'audit-events': 'event'
  }
  const last = path.split('/').findLast((part) => part in named)
  return last ? named[last]! : 'credential'
}

const mostly = <T>(often: Arbitrary<T>, seldom: Arbitrary<T>, weight = 12): Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: often }, { weight: 1, arbitrary: seldom })

function pathOf({ path, parameters }: Operation, resolve: Resolve): Arbitrary<Record<string, unknown>> {
  const parts = parameters.filter((one) => one.in === 'path')
  return fc.record(
    Object.fromEntries(
      parts.map(({ name, schema }) => {
        const kind = name === 'id' ? kindOf(path.slice(0, path.indexOf('{id}'))) : name.replace(/Id$/, '')
        const good = /id$/i.test(name) ? idOf(kind) : valid(resolve, schema, name)
        return [name, mostly(good, oddText)]
      })
    )
  )
}

function queryOf({ parameters }: Operation, resolve: Resolve): Arbitrary<[string, unknown][]> {
  const one = parameters
    .filter((part) => part.in === 'query')
    .map(({ name, schema }) =>
      mostly(valid(resolve, schema, name), broken(resolve, schema, name), 4).map((value) => [name, value])
    )
  const unknown = fc.tuple(oddText, oddText)
  const any = one.length > 0 ? fc.array(mostly(fc.oneof(...one), unknown, 15), { maxLength: 3 }) : undefined
  return (any ?? mostly<unknown[]>(fc.constant([]), fc.tuple(unknown))) as Arbitrary<[string, unknown][]>
}

/** Texts that HTTP allows in headers. */
const headerText = oddText.filter((text) => /^[\x20-\x7e\x80-\xff]*$/.test(text) && text.length <= 2000)

function headersOf({ parameters }: Operation): Arbitrary<Record<string, string>> {
  const tags = mostly(fc.constantFrom('"1"', '"2"', '"3"', '*', '"1", "2"', 'W/"1"'), headerText, 4)
  const values: Record<string, Arbitrary<string>> = {
    // Only a few values, so that they repeat.
    'idempotency-key': mostly(fc.constantFrom('a', 'b', 'c'), headerText),
    'if-match': tags,
    'if-none-match': tags
  }
  const named = parameters
    .filter((part) => part.in === 'header')
    .map(({ name }) => [name, values[name.toLowerCase()]!])
  const stray = { accept: headerText, origin: headerText, 'x-request-id': headerText, 'if-match': headerText }
  const known = fc.record(Object.fromEntries(named), { requiredKeys: [] }) as Arbitrary<
    Record<string, string>
  >
  const more = fc.record(stray, { requiredKeys: [] }) as Arbitrary<Record<string, string>>
  return mostly(known, more)
}

const JSON_TYPE = 'application/json'
const TYPES = [
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/json; charset=utf-16',
  'application/json; charset="',
  'application/merge-patch+json',
  'application/',
  'x'
]

function bodyOf({ body }: Operation, resolve: Resolve): Arbitrary<Step['body']> {
  const none = fc.constant(undefined)
  const asJson = (value: Arbitrary<unknown>): Arbitrary<Step['body']> =>
    fc.record({ value, type: fc.constant(JSON_TYPE) })
  if (!body) return mostly<Step['body']>(none, asJson(anything), 15)
  const good = valid(resolve, body.schema)
  return fc.oneof(
    { weight: 16, arbitrary: asJson(good) },
    { weight: 8, arbitrary: asJson(broken(resolve, body.schema)) },
    { weight: 1, arbitrary: asJson(anything) },
    { weight: 1, arbitrary: none },
    { weight: 1, arbitrary: fc.record({ value: good, type: fc.constantFrom(...TYPES) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        value: good,
        type: fc.constant(JSON_TYPE),
        damage: fc.constantFrom(...DAMAGES)
      })
    }
  )
}

function stepOf(operation: Operation, resolve: Resolve): Arbitrary<Step> {
  const callers = Object.entries(CALLERS).map(([name, weight]) => ({
    // If only tokens may call it, `machine` does so as often as all others together.
    weight: !operation.forSessions && name === 'machine' ? 40 : weight,
    arbitrary: fc.constant(name)
  }))
  return fc.record({
    operation: fc.constant(Object.assign({ [fc.toStringMethod]: () => operation.operationId }, operation)),
    caller: fc.oneof(...callers),
    nth: fc.nat(3),
    path: pathOf(operation, resolve),
    query: queryOf(operation, resolve),
    headers: headersOf(operation),
    body: bodyOf(operation, resolve)
  })
}

/** Generates sequences of requests to all operations, more often to those that create resources. */
export function requestsOf(
  contract: Contract,
  operations: Operation[],
  maxLength: number
): Arbitrary<Step[]> {
  const { document } = contract
  const resolve: Resolve = (schema) =>
    schema.$ref ? (document.components.schemas[schema.$ref.split('/').at(-1)!] as Schema) : schema
  const steps = operations.map((operation) => ({
    weight: ENDINGS.includes(operation.operationId)
      ? 1
      : operation.method === 'POST' && operation.body
        ? 6
        : 4,
    arbitrary: stepOf(operation, resolve)
  }))
  return fc.array(fc.oneof(...steps), { minLength: 1, maxLength, size: 'max' })
}

/** Returns the bytes of the body: `value` as JSON, corrupted by `damage`. */
export function bytesOf(value: unknown, damage: Damage | undefined): Buffer {
  const text = JSON.stringify(value) ?? ''
  switch (damage) {
    case 'cut off':
      return Buffer.from(text.slice(0, -1))
    case 'more after it':
      return Buffer.from(`${text} x`)
    case 'a key twice':
      return Buffer.from(text.replace(/^\{("[^"]*")/, '{$1:1,$1'))
    case 'a BOM':
      return Buffer.from(`\ufeff${text}`)
    case 'UTF-16':
      return Buffer.from(text, 'utf16le')
    case 'no UTF-8':
      return Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')])
    case 'infinite':
      return Buffer.from(text.replace(/^\{/, '{"x":1e999,'))
    case 'deep':
      return Buffer.from(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)
    case 'big':
      return Buffer.from(`${text}${' '.repeat(1024 * 1024)}`)
    default:
      return Buffer.from(text)
  }
}
