import { breakingNames } from './breaking-names.ts'
import { breakingSchema, type Schema } from './breaking-schema.ts'

type Document = {
  info: { version: string }
  servers?: Server[]
  tags?: { name: string }[]
  security?: Requirement[]
  paths: Record<string, PathItem>
  components: Record<string, Record<string, object>>
}
const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const
type Method = (typeof METHODS)[number]
type PathItem = { servers?: Server[]; parameters?: (Parameter | Reference)[] } & Partial<
  Record<Method, Operation>
>
type Server = { url: string; variables?: object }
type Requirement = Record<string, string[]>
interface Operation {
  operationId: string
  tags: string[]
  servers?: Server[]
  security?: Requirement[]
  parameters?: (Parameter | Reference)[]
  requestBody?: { required?: boolean; content: Content }
  responses: Record<string, Response | Reference>
}
interface Parameter {
  name: string
  in: string
  required?: boolean
  schema: Schema
}
interface Response {
  headers?: Record<string, { schema: Schema } | Reference>
  content?: Content
  'x-problem-codes'?: string[]
}
type Content = Record<string, { schema: Schema }>
interface Reference {
  $ref: string
}

export type { Document, Method, Operation }

/**
 * Lists the changes that break callers of the earlier document, one sentence each. Additions do not break
 * callers. A change that the comparison does not understand counts as breaking.
 */
export function breakingChanges(before: Document, now: Document): string[] {
  const breaks = breakingNames(before, now)
  for (const path of Object.keys(before.paths)) {
    const there = operationsOf(now, path)
    for (const [method, old] of operationsOf(before, path)) {
      const operation = there.get(method)
      const name = `${method.toUpperCase()} ${path}`
      if (!operation) breaks.push(`${name} is gone`)
      else breaks.push(...new OperationChange(before, now, name).breaks(old, operation))
    }
  }
  return breaks
}

/** Returns the operations of a path, each with the parameters and servers that it inherits. */
function operationsOf(document: Document, path: string): Map<Method, Operation> {
  const item = document.paths[path] ?? {}
  const { parameters = [], servers = document.servers ?? [{ url: '/' }] } = item
  return new Map(
    METHODS.flatMap((method) => {
      const operation = item[method]
      if (!operation) return []
      // Parameters of the operation come last, because they override those of the path.
      const all = [...parameters, ...(operation.parameters ?? [])]
      return [[method, { ...operation, servers: operation.servers ?? servers, parameters: all }]]
    })
  )
}

/** Returns true if the version allows breaking changes: its major number is higher. */
export function isMajor(before: Document, now: Document): boolean {
  const major = ({ info }: Document) => Number(info.version.split('.')[0])
  return major(now) > major(before)
}

class OperationChange {
  readonly #before: Document
  readonly #now: Document
  readonly #name: string

  constructor(before: Document, now: Document, name: string) {
    this.#before = before
    this.#now = now
    this.#name = name
  }

  breaks(old: Operation, operation: Operation): string[] {
    const renamed =
      old.operationId === operation.operationId ? [] : [`the operationId is ${operation.operationId} now`]
    return [
      ...renamed,
      ...this.#tags(old, operation),
      ...this.#servers(old, operation),
      ...this.#security(old, operation),
      ...this.#parameters(old, operation),
      ...this.#body(old, operation),
      ...this.#responses(old, operation)
    ].map((what) => `${this.#name}: ${what}`)
  }

  // Generators create a module for each tag, or for the first one.
  #tags({ tags: old = [] }: Operation, { tags = [] }: Operation): string[] {
    const isKept = old.every((tag) => tags.includes(tag)) && old[0] === tags[0]
    return isKept ? [] : [`the tag is ${tags.join(', ')} now`]
  }

  // By default, a client calls the first server.
  #servers({ servers: old = [] }: Operation, { servers = [] }: Operation): string[] {
    const keyOf = ({ url, variables }: Server) => JSON.stringify([url, variables])
    const gone = old.filter((server) => !servers.some((one) => keyOf(one) === keyOf(server)))
    if (gone.length > 0) return gone.map(({ url }) => `the server ${url} is gone`)
    const [first] = servers
    return first && old[0] && keyOf(first) !== keyOf(old[0]) ? [`the first server is ${first.url} now`] : []
  }

  // Credentials that were sufficient must still be: an operation may require less, but not more.
  #security(old: Operation, operation: Operation): string[] {
    const ways = operation.security ?? this.#now.security ?? []
    const waysBefore = old.security ?? this.#before.security ?? []
    const isEnough = (had: Requirement) =>
      ways.length === 0 ||
      ways.some((way) =>
        Object.entries(way).every(
          ([scheme, scopes]) => scopes.every((scope) => had[scheme]?.includes(scope)) && scheme in had
        )
      )
    return (waysBefore.length > 0 ? waysBefore : [{}])
      .filter((had) => !isEnough(had))
      .map((had) => `${JSON.stringify(had)} is no longer enough to call it`)
  }

  #parameters(old: Operation, operation: Operation): string[] {
    const keyed = (document: Document, parameters: Operation['parameters'] = []) =>
      new Map(
        parameters.map((part) => {
          const parameter = resolved<Parameter>(document, part)
          return [`${parameter.in} parameter ${parameter.name}`, parameter]
        })
      )
    const there = keyed(this.#now, operation.parameters)
    const before = keyed(this.#before, old.parameters)
    const demanded = [...there]
      .filter(([name, { required }]) => required && !before.get(name)?.required)
      .map(([name]) => `the ${name} is required now`)
    const changed = [...before].flatMap(([name, parameter]) => {
      const now = there.get(name)
      return now
        ? this.#schema('input', parameter.schema, now.schema, `the ${name}`)
        : [`the ${name} is gone`]
    })
    return [...demanded, ...changed]
  }

  #body(old: Operation, operation: Operation): string[] {
    const { requestBody: before } = old
    const { requestBody: now } = operation
    const demanded = now?.required && !before?.required ? ['a body is required now'] : []
    if (!before) return demanded
    if (!now) return ['the body is gone']
    return [...demanded, ...this.#content('input', before.content, now.content, 'body')]
  }

  #responses(old: Operation, operation: Operation): string[] {
    return Object.entries(old.responses).flatMap(([status, part]) => {
      const there = operation.responses[status]
      // Callers act on refusals: `name-taken` tells them that an earlier create succeeded.
      if (!there) return [`the status ${status} is gone`]
      const before = resolved<Response>(this.#before, part)
      const now = resolved<Response>(this.#now, there)
      const headers = Object.entries(before.headers ?? {}).flatMap(([name, header]) => {
        const headerNow = now.headers?.[name]
        if (!headerNow) return [`the header ${name} of ${status} is gone`]
        const schemas = [
          resolved<{ schema: Schema }>(this.#before, header).schema,
          resolved<{ schema: Schema }>(this.#now, headerNow).schema
        ] as const
        return this.#schema('output', ...schemas, `the header ${name} of ${status}`)
      })
      const codes = (before['x-problem-codes'] ?? [])
        .filter((code) => !now['x-problem-codes']?.includes(code))
        .map((code) => `${status} is not ${code} any more`)
      return [
        ...codes,
        ...headers,
        ...this.#content('output', before.content ?? {}, now.content ?? {}, status)
      ]
    })
  }

  #content(direction: 'input' | 'output', before: Content, now: Content, where: string): string[] {
    return Object.entries(before).flatMap(([type, media]) => {
      const there = now[type]
      return there
        ? this.#schema(direction, media.schema, there.schema, where)
        : [`${where} is not ${type} any more`]
    })
  }

  #schema(direction: 'input' | 'output', before: Schema, now: Schema, where: string): string[] {
    const resolve = {
      before: (schema: Schema) => whole(this.#before, schema),
      now: (schema: Schema) => whole(this.#now, schema)
    }
    return breakingSchema(direction, before, now, where, resolve)
  }
}

function resolved<T extends object>(document: Document, part: T | Reference): T {
  if (!('$ref' in part)) return part
  const [, , section, name] = part.$ref.split('/')
  const found = document.components[section!]?.[name!]
  if (!found) throw new Error(`${part.$ref} is not in the document`)
  return found as T
}

/** Resolves the reference of a schema, and keeps the keywords next to it. */
function whole(document: Document, schema: Schema): Schema {
  if (!schema.$ref) return schema
  const { $ref, ...beside } = schema
  return { ...whole(document, resolved<Schema>(document, { $ref })), ...beside }
}
