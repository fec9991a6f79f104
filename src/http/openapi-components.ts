import { STATUS_CODES } from 'node:http'
import { choices, enumerations } from './schemas.ts'

interface Parameter {
  name: string
  in: string
  deprecated?: boolean
  schema?: { deprecated?: boolean; undocumented?: boolean }
}
interface Response {
  content?: Record<string, { examples?: Record<string, object> }>
  headers?: Record<string, object>
}
interface Operation {
  parameters?: Parameter[]
  requestBody?: { required?: boolean; content: Record<string, { schema?: { $ref?: string } }> }
  responses: Record<string, Response>
}
export interface Document {
  paths: Record<string, Record<string, Operation>>
  components: Record<string, Record<string, object>>
}

/** Names of the parameters that become components, by location and name. */
const PARAMETERS: Record<string, string> = {
  'path:environment': 'Environment',
  'path:consumer': 'Consumer',
  'query:page': 'Page',
  'query:pageSize': 'PageSize',
  'query:cursor': 'Cursor',
  'query:search': 'Search',
  'header:if-match': 'IfMatch',
  'header:if-none-match': 'IfNoneMatch',
  'header:idempotency-key': 'IdempotencyKey'
}

/**
 * Moves error responses and their examples, parameters, response headers and named enumerations into
 * `components`, and refers to them there. Returns the document with `components` last. Throws if two
 * different components have the same name.
 */
export function extractComponents(document: Document): Document {
  const { paths, components: own, ...head } = document
  const { securitySchemes = {}, schemas = {} } = own
  const components = { securitySchemes, parameters: {}, headers: {}, responses: {}, examples: {}, schemas }
  const share = (section: keyof typeof components, name: string, part: object) => {
    const parts: Record<string, object> = components[section]
    parts[name] ??= part
    if (JSON.stringify(parts[name]) !== JSON.stringify(part))
      throw new Error(`two different parts of the document are both called ${section}/${name}`)
    return { $ref: `#/components/${section}/${name}` } as never
  }
  nameEnumerations([paths, schemas], schemas)
  for (const [name, choice] of choices) schemas[name] = referring(choice)
  // A validator sees null if there is no body.
  const takesNull = ({ schema = {} }: { schema?: { $ref?: string } }) => {
    const named = schemas[schema.$ref?.split('/').at(-1) ?? ''] ?? schema
    return [(named as { type?: string | string[] }).type].flat().includes('null')
  }
  // Lists with another page size declare their own parameter.
  const isOther = (name: string, parameter: object) =>
    JSON.stringify(shared[name] ?? parameter) !== JSON.stringify(parameter)
  const shared: Record<string, object> = components.parameters
  for (const operation of Object.values(paths).flatMap((operations) => Object.values(operations))) {
    const documented = operation.parameters?.filter(({ schema }) => !schema?.undocumented)
    if (documented) operation.parameters = documented
    for (const [index, parameter] of documented?.entries() ?? []) {
      const name = PARAMETERS[`${parameter.in}:${parameter.name}`]
      if (parameter.schema?.deprecated) {
        parameter.deprecated = true
        delete parameter.schema.deprecated
      }
      if (parameter.in === 'header') parameter.name = headerName(parameter.name)
      if (name && !isOther(name, parameter)) documented![index] = share('parameters', name, parameter)
    }
    const { requestBody } = operation
    if (requestBody) requestBody.required = !Object.values(requestBody.content).every(takesNull)
    // An optional body does not also accept null.
    for (const { schema = {} } of Object.values(requestBody?.content ?? {})) removeNull(schema, schemas)
    for (const [status, response] of Object.entries(operation.responses)) {
      for (const [header, part] of Object.entries(response.headers ?? {}))
        response.headers![header] = share('headers', header.replaceAll('-', ''), part)
      if (response.headers && Object.keys(response.headers).length === 0) delete response.headers
      const problems = response.content?.['application/problem+json']?.examples
      const name = responseName(status, response)
      for (const [code, example] of Object.entries(problems ?? {}))
        problems![code] = share('examples', pascalCase(code), example)
      if (problems) Object.assign(response, { 'x-problem-codes': Object.keys(problems) })
      if (name) operation.responses[status] = share('responses', name, response)
    }
  }
  openAnswers(paths, schemas)
  const sections = Object.entries(components).map(([section, parts]) => [section, sorted(parts)])
  return { ...head, paths, components: Object.fromEntries(sections) }
}

/** Replaces TypeBox references by references to components. */
function referring(choice: object): object {
  return JSON.parse(JSON.stringify(choice).replaceAll(/"(\w+)#"/g, '"#/components/schemas/$1"'))
}

/** `if-match` as `If-Match`. */
const headerName = (name: string) => name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase())

function removeNull(schema: { $ref?: string }, schemas: Record<string, object>): void {
  const named = (schemas[nameOf(schema.$ref)] ?? schema) as { type?: string | string[] }
  const types = [named.type].flat().filter((type) => type !== 'null')
  if (types.length === 1) named.type = types[0]!
}

const nameOf = (reference = '') => reference.split('/').at(-1)!

/**
 * Allows additional properties in schemas that occur only in responses, so that clients that were generated
 * from this document can read the responses of later versions. The service sends none.
 */
function openAnswers(paths: Document['paths'], schemas: Record<string, object>): void {
  const requested = new Set<object>()
  const collect = (node: unknown): void => {
    if (typeof node !== 'object' || node === null || requested.has(node)) return
    requested.add(node)
    const { $ref } = node as { $ref?: string }
    if (typeof $ref === 'string') collect(schemas[nameOf($ref)])
    for (const child of Object.values(node)) collect(child)
  }
  for (const operation of Object.values(paths).flatMap((operations) => Object.values(operations)))
    collect([operation.requestBody, operation.parameters])
  const open = (node: unknown): void => {
    if (typeof node !== 'object' || node === null || requested.has(node)) return
    const schema = node as { additionalProperties?: unknown }
    if (schema.additionalProperties === false) delete schema.additionalProperties
    for (const child of Object.values(node)) open(child)
  }
  for (const operation of Object.values(paths).flatMap((operations) => Object.values(operations)))
    open(operation.responses)
  for (const schema of Object.values(schemas)) open(schema)
}

/** Names of the responses that operations share, by the codes of their problems. */
const RESPONSES: Record<string, string> = {
  'bad-request malformed-url validation-failed': 'InvalidRequest',
  'bad-request malformed-body malformed-url validation-failed': 'InvalidRequestOrBody',
  'cross-site-request forbidden insufficient-scope': 'ChangeForbidden',
  'forbidden insufficient-scope': 'ReadForbidden',
  'decryption-failed internal-error': 'InternalErrorOrDecryptionFailed'
}

/**
 * Returns the component name of an error response that operations share, or undefined. A response with one
 * code is named after the code; a Lightning response after its status. Other responses stay inline, so that
 * adding a code to an operation renames no component.
 */
function responseName(status: string, { content = {} }: Response): string | undefined {
  if (Number(status) < 400) return undefined
  const problem = content['application/problem+json']
  if (!problem) return `Lightning${STATUS_CODES[status]!.replaceAll(' ', '')}`
  const codes = Object.keys(problem.examples!)
  return codes.length === 1 ? pascalCase(codes[0]!) : RESPONSES[codes.join(' ')]
}

/** `not-found` as `NotFound`. */
const pascalCase = (code: string) => code.replace(/(^|-)([a-z])/g, (_, _dash, letter) => letter.toUpperCase())

function nameEnumerations(node: unknown, schemas: Record<string, object>): void {
  if (typeof node !== 'object' || node === null) return
  for (const child of Object.values(node)) nameEnumerations(child, schemas)
  const schema = node as { type?: unknown; enum?: unknown; $ref?: string }
  const named = schema.type === 'string' && enumerations.get(JSON.stringify(schema.enum))
  if (!named || schemas[named.name] === node) return
  const { name, component } = named
  schemas[name] = component
  delete schema.type
  delete schema.enum
  schema.$ref = `#/components/schemas/${name}`
}

const sorted = (parts: Record<string, object>) =>
  Object.fromEntries(Object.entries(parts).sort(([a], [b]) => (a < b ? -1 : 1)))
