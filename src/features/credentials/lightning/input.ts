import { EnvironmentName, isUuid, MAX_FIELDS } from '../../../http/schemas.ts'
import { cleanName, foldName, MAX_UNITS } from '../../../names.ts'
import { hasNoValue, validateValue } from '../../credential-types/field-values.ts'
import { PatternSearch } from '../../credential-types/patterns.ts'
import type { FieldRow } from '../../credential-types/repository.ts'
import { defaultsOf, MAX_ENVIRONMENTS } from '../input.ts'
import type { Values } from '../sealing.ts'
import { LightningInvalid } from './errors.ts'

const SLUG = new RegExp(EnvironmentName.pattern!)
const INVALID_NAME = 'credential name has invalid format'
const PRINTABLE = /^[^\p{Cc}]{1,200}$/u

export interface LightningInput {
  name: string
  schema: string
  externalId: string | null
  projectIds: string[]
  /** The body of each environment, by its name. */
  bodies: Map<string, Record<string, unknown>>
}

type Body = Record<string, unknown>

const invalid = (field: string, message: string): never => {
  throw new LightningInvalid({ [field]: [message] })
}

const isObject = (value: unknown): value is Body =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Parses the body of a create. Throws LightningInvalid with the name of the field and, where Lightning has
 * one, its message.
 */
export function readInput(request: unknown): LightningInput {
  if (!isObject(request)) throw new LightningInvalid({ name: ["can't be blank"], body: ["can't be blank"] })
  return {
    name: nameOf(request['name']),
    bodies: bodiesOf(request),
    schema: schemaOf(request['schema']),
    externalId: externalIdOf(request['external_id']),
    projectIds: projectIdsOf(request['project_credentials'])
  }
}

function nameOf(value: unknown): string {
  if (value === undefined || value === null) return invalid('name', "can't be blank")
  if (typeof value !== 'string') return invalid('name', INVALID_NAME)
  if (foldName(value) === '') return invalid('name', "can't be blank")
  const cleaned = cleanName(value)
  if ('text' in cleaned) return cleaned.text
  const reasons = cleaned.code === 'too-long' ? [] : [cleaned.message]
  throw new LightningInvalid({ name: [INVALID_NAME, ...reasons] })
}

function bodiesOf({ body, credential_bodies: list }: Body): Map<string, Body> {
  const bodies = new Map<string, Body>()
  if (list === undefined || list === null) {
    if (body === undefined || body === null) return invalid('body', "can't be blank")
    return bodies.set('main', isObject(body) ? body : invalid('body', 'must be a JSON object'))
  }
  if (!Array.isArray(list)) return invalid('credential_bodies', 'must be a list')
  if (list.length > MAX_ENVIRONMENTS) return invalid('credential_bodies', 'has too many environments')
  if (body !== undefined && body !== null)
    bodies.set('main', isObject(body) ? body : invalid('body', 'must be a JSON object'))
  for (const [index, entry] of (list as unknown[]).entries()) {
    const label = `Environment ${index + 1}`
    if (!isObject(entry)) return invalid('credential_bodies', `${label}: must be a JSON object`)
    const { name } = entry
    if (typeof name !== 'string' || !SLUG.test(name))
      return invalid('credential_bodies', `${label}: name must be a short slug`)
    if (!isObject(entry['body'])) return invalid('credential_bodies', `${label}: body must be a JSON object`)
    if (bodies.has(name)) return invalid('credential_bodies', `${label}: name is there twice`)
    bodies.set(name, entry['body'])
  }
  if (bodies.size > MAX_ENVIRONMENTS) return invalid('credential_bodies', 'has too many environments')
  return bodies.size > 0 ? bodies : invalid('credential_bodies', "can't be blank")
}

function schemaOf(value: unknown): string {
  if (value === undefined || value === null) return 'raw'
  if (typeof value !== 'string' || value.length > MAX_UNITS)
    return invalid('schema', 'is not a known credential schema')
  return value
}

function externalIdOf(value: unknown): string | null {
  if (value === undefined || value === null || value === '') return null
  if (typeof value !== 'string' || !PRINTABLE.test(value)) return invalid('external_id', 'is invalid')
  return value
}

function projectIdsOf(value: unknown): string[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) return invalid('project_credentials', 'must be a list')
  const ids = value.map((entry: unknown) => {
    const id = isObject(entry) ? entry['project_id'] : undefined
    return typeof id === 'string' && isUuid(id)
      ? id.toLowerCase()
      : invalid('project_credentials', 'project_id is invalid')
  })
  const distinct = [...new Set(ids)]
  return distinct.length <= 100 ? distinct : invalid('project_credentials', 'has too many projects')
}

/**
 * Returns the values to store, by environment. A body of the built-in type `raw` is the value of its only
 * field; the properties of other bodies are field names. Throws LightningInvalid, without values.
 */
export function valuesOf(
  fields: readonly FieldRow[],
  isRaw: boolean,
  bodies: ReadonlyMap<string, Body>
): Map<string, Values> {
  const search = new PatternSearch()
  return new Map(
    [...bodies].map(([environment, body]) => [
      environment,
      isRaw ? rawValues(fields, body) : typedValues(fields, body, search)
    ])
  )
}

function rawValues([field]: readonly FieldRow[], body: Body): Values {
  if (Object.keys(body).length > MAX_FIELDS) invalid('body', `has more than ${MAX_FIELDS} fields`)
  const error = validateValue(field!, body)
  return error ? invalid('body', error.message) : new Map([[field!.id, body]])
}

function typedValues(fields: readonly FieldRow[], body: Body, search: PatternSearch): Values {
  const byName = new Map(fields.map((field) => [field.field_name, field]))
  const values = defaultsOf(fields)
  for (const [name, value] of Object.entries(body)) {
    // The message omits the property's name: it may be a misplaced secret.
    const field = byName.get(name) ?? invalid('body', 'has a property that is no field of the schema')
    if (hasNoValue(value, field.field_type)) {
      values.delete(field.id)
      continue
    }
    const error = validateValue(field, value, search)
    if (error) invalid('body', `${field.field_name}: ${error.message}`)
    values.set(field.id, value)
  }
  for (const field of fields) {
    if (field.required && !values.has(field.id)) invalid('body', `${field.field_name} can't be blank`)
  }
  return values
}
