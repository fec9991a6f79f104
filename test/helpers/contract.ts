import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'

export interface Operation {
  operationId: string
  parameters?: (Parameter | Reference)[]
  responses: Record<string, Response | Reference>
}
export interface Parameter {
  name: string
  in: string
  description?: string
  schema: { examples?: unknown[] }
  example?: unknown
}
export interface Response {
  description: string
  content?: Record<string, { schema: object; examples?: Record<string, { value: unknown } | Reference> }>
  headers?: Record<string, unknown>
  /** The codes of the problems with this status that the operation returns. */
  'x-problem-codes'?: string[]
}
interface Problem {
  code: string
  errors?: { code: string }[]
}
interface Reference {
  $ref: string
}
export interface OpenapiDocument {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: {
    schemas: Record<string, { examples?: unknown[]; 'x-extensible-enum'?: string[] }>
    examples: Record<string, { value: unknown }>
    responses: Record<string, Response>
    parameters: Record<string, Parameter>
    headers: Record<string, object>
    securitySchemes: object
  }
}

/** Forbids additional properties, which the document allows for later versions only. */
function closed<T>(node: T): T {
  if (typeof node !== 'object' || node === null) return node
  if (Array.isArray(node)) return node.map(closed) as T
  const copy = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, closed(value)]))
  const isOpen = typeof copy['properties'] === 'object' && copy['type'] !== undefined
  return (isOpen ? { additionalProperties: false, ...copy } : copy) as T
}

/**
 * Checks responses against the document: the operation must declare the status and the problem code, and the
 * body must match the schema.
 */
export class Contract {
  readonly document: OpenapiDocument
  readonly #ajv: Ajv2020
  readonly #routes: {
    method: string
    pattern: RegExp
    operation: Operation
    pointer: string
    parameters: number
  }[]

  constructor(document: OpenapiDocument) {
    this.document = document
    this.#ajv = new Ajv2020({ strict: false, allErrors: true })
    addFormats.default(this.#ajv)
    this.#ajv.addSchema(closed(document), 'openapi')
    this.#routes = Object.entries(document.paths)
      .flatMap(([path, operations]) =>
        Object.entries(operations).map(([method, operation]) => ({
          method: method.toUpperCase(),
          pattern: new RegExp(`^${path.replace(/\{[^}]+\}/g, '[^/]+')}$`),
          parameters: path.split('{').length,
          operation,
          pointer: `#/paths/${pointerPart(path)}/${method}`
        }))
      )
      .sort((a, b) => a.parameters - b.parameters)
  }

  /** Returns the fault in the response, or undefined. Requests outside of `/api/` may match no operation. */
  flaw(
    method: string,
    path: string,
    status: number,
    contentType: string | null,
    body: string
  ): string | undefined {
    const route = this.#routes.find((one) => one.method === method && one.pattern.test(path))
    if (!route)
      return path.startsWith('/api/') &&
        ![401, 404, 405].includes(status) &&
        !['HEAD', 'OPTIONS'].includes(method)
        ? 'no operation of the document'
        : undefined
    const { operationId, responses } = route.operation
    const named = responses[status]
    if (!named) return `${operationId} does not document ${status}`
    const response = this.resolved(named)
    if (!response.content) return body === '' ? undefined : `${operationId} ${status} documents no body`
    const type = contentType?.split(';')[0] ?? ''
    if (!response.content[type]) return `${operationId} ${status} does not document ${type}`
    if (!/charset=utf-8/.test(contentType ?? '')) return `${operationId} ${status} has no charset`
    const pointer = '$ref' in named ? named.$ref : `${route.pointer}/responses/${status}`
    const validate = this.schema(`${pointer}/content/${pointerPart(type)}/schema`)
    const value = JSON.parse(body)
    if (!validate(value)) return `${operationId} ${status}: ${this.#ajv.errorsText(validate.errors)}`
    return type === 'application/problem+json' ? this.#flawOfCodes(operationId, response, value) : undefined
  }

  #flawOfCodes(operationId: string, response: Response, problem: Problem): string | undefined {
    const { code, errors = [] } = problem
    if (!response['x-problem-codes']?.includes(code)) return `${operationId} does not declare ${code}`
    const known = this.document.components.schemas['InputErrorCode']!['x-extensible-enum']!
    const unknown = errors.find((error) => !known.includes(error.code))
    return unknown && `${operationId} answers an error that is not in InputErrorCode: ${unknown.code}`
  }

  /** Resolves a part of the document if it is a reference. */
  resolved<T extends object>(part: T | Reference): T {
    if (!('$ref' in part)) return part
    const [, , section, name] = part.$ref.split('/')
    return (this.document.components as unknown as Record<string, Record<string, T>>)[section!]![name!]!
  }

  /** Returns the validator for the schema at this pointer in the document. */
  schema(pointer: string) {
    const reference = `openapi${pointer}`
    return this.#ajv.getSchema(reference) ?? this.#ajv.compile({ $ref: reference })
  }
}

/** Encodes a key as a part of a JSON pointer in a URI. */
export const pointerPart = (part: string) =>
  encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1')).replaceAll('%7E', '~')
