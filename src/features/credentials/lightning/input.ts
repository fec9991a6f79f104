import { EnvironmentName, isUuid } from '../../../http/schemas.ts'
import { isJsonObject } from '../../../json.ts'
import { cleanName, foldName } from '../../../names.ts'
import { MAX_ENVIRONMENTS } from '../input.ts'
import { invalid, LightningInvalid } from './errors.ts'

const SLUG = new RegExp(EnvironmentName.pattern!)
const INVALID_NAME = 'credential name has invalid format'
const PRINTABLE = /^[^\p{Cc}]{1,200}$/u

export interface LightningInput {
  name: string
  schema: string
  externalId: string | null
  projectIds: string[]
  /** The body of each environment, by its name. */
  bodies: Bodies
}

export type Body = Record<string, unknown>
export type Bodies = Map<string, Body>

/**
 * Parses the body of a create. Throws LightningInvalid with the name of the field and, if it has one for the
 * error, the message of Lightning.
 */
export function readInput(request: unknown): LightningInput {
  if (!isJsonObject(request))
    throw new LightningInvalid({ name: ["can't be blank"], body: ["can't be blank"] })
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
  const cleaned = cleanName(value)
  if ('text' in cleaned) return cleaned.text
  if (cleaned.code === 'too-long') return invalid('name', INVALID_NAME)
  if (foldName(value) === '') return invalid('name', "can't be blank")
  throw new LightningInvalid({ name: [INVALID_NAME, cleaned.message] })
}

function bodiesOf({ body, credential_bodies: list }: Body): Map<string, Body> {
  const bodies = new Map<string, Body>()
  if (list === undefined || list === null) {
    if (body === undefined || body === null) return invalid('body', "can't be blank")
    return bodies.set('main', isJsonObject(body) ? body : invalid('body', 'must be a JSON object'))
  }
  if (!Array.isArray(list)) return invalid('credential_bodies', 'must be a list')
  if (list.length > MAX_ENVIRONMENTS) return invalid('credential_bodies', 'has too many environments')
  if (body !== undefined && body !== null)
    bodies.set('main', isJsonObject(body) ? body : invalid('body', 'must be a JSON object'))
  for (const [index, entry] of (list as unknown[]).entries()) {
    const label = `Environment ${index + 1}`
    if (!isJsonObject(entry)) return invalid('credential_bodies', `${label}: must be a JSON object`)
    const { name } = entry
    if (typeof name !== 'string' || !SLUG.test(name))
      return invalid('credential_bodies', `${label}: name must be a short slug`)
    if (!isJsonObject(entry['body']))
      return invalid('credential_bodies', `${label}: body must be a JSON object`)
    if (bodies.has(name)) return invalid('credential_bodies', `${label}: name occurs more than once`)
    bodies.set(name, entry['body'])
  }
  if (bodies.size > MAX_ENVIRONMENTS) return invalid('credential_bodies', 'has too many environments')
  return bodies.size > 0 ? bodies : invalid('credential_bodies', "can't be blank")
}

function schemaOf(value: unknown): string {
  if (value === undefined || value === null) return 'raw'
  if (typeof value !== 'string') return invalid('schema', 'is invalid')
  if (value.trim() === '') return 'raw'
  const cleaned = cleanName(value)
  return 'text' in cleaned ? cleaned.text : invalid('schema', `is invalid: ${cleaned.message}`)
}

function externalIdOf(value: unknown): string | null {
  if (value === undefined || value === null || value === '') return null
  if (typeof value !== 'string' || !PRINTABLE.test(value))
    return invalid('external_id', 'must be 1 to 200 characters without control characters')
  return value
}

function projectIdsOf(value: unknown): string[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) return invalid('project_credentials', 'must be a list')
  const ids = value.map((entry: unknown) => {
    const id = isJsonObject(entry) ? entry['project_id'] : undefined
    return typeof id === 'string' && isUuid(id)
      ? id.toLowerCase()
      : invalid('project_credentials', 'project_id is invalid')
  })
  const distinct = [...new Set(ids)]
  return distinct.length <= 100 ? distinct : invalid('project_credentials', 'has too many projects')
}
