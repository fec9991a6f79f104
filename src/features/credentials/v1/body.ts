import type { Static } from '@sinclair/typebox'
import { allOf } from '../../../http/faults.ts'
import { oneOf, requireOneOf } from '../../../http/one-of.ts'
import { ValidationFailed } from '../../../http/problems.ts'
import { timeOf } from '../../../http/times.ts'
import { isJsonObject } from '../../../json.ts'
import { type ProjectRefs, requireDistinct } from '../../projects/refs.ts'
import type { Change } from '../change.ts'
import { type FindType, type NewCredential, typeById, typeByName } from '../create.ts'
import type { FieldRef } from '../field-refs.ts'
import { applyValues, defaultsOf, type ValueInputs } from '../input.ts'
import type {
  AppCredentialCreate,
  AppCredentialUpdate,
  EnvironmentValues,
  ProjectIds,
  Reveal
} from './resource-schema.ts'

// Converts bodies with names and bodies with ids to one form.

type UpdateBody = Static<typeof AppCredentialUpdate>
type CreateBody = Static<typeof AppCredentialCreate>
export type ValuesBody = Static<typeof EnvironmentValues>
type ProjectsBody = Static<typeof ProjectIds>
export type RevealBody = NonNullable<Static<typeof Reveal>>

/** True if the body has a value to set. */
export function hasValues({ keys = [], values = {} }: ValuesBody): boolean {
  return keys.length > 0 || Object.keys(values).length > 0
}

/**
 * Returns the values of a body. With `merges`, the body is a merge patch. Throws ValidationFailed unless it
 * has either `keys` or `values`.
 */
export function valuesIn(body: ValuesBody, { merges = false } = {}): ValueInputs {
  requireOneOf(body, ['keys', 'values'])
  const { keys, values } = body
  if (keys)
    return {
      entries: allOf(...keys.map((key, index) => () => entryOf(key, index))),
      merges,
      pathOf: () => '/body/keys'
    }
  // The validator accepts a RawNumber as an object.
  if (!isJsonObject(values)) {
    const message = 'This must be an object.'
    throw new ValidationFailed({ errors: [{ path: '/body/values', code: 'wrong-type', message }] })
  }
  const pathOf = (name: string) => `/body/values/${name}`
  const entries = Object.entries(values).map(([name, value]) => {
    const field: FieldRef = { by: 'name', key: name, path: '/body/values' }
    return { field, value, path: pathOf(name) }
  })
  return { entries, merges, pathOf }
}

function entryOf(key: NonNullable<ValuesBody['keys']>[number], index: number) {
  const path = `/body/keys/${index}`
  const by = requireOneOf(key, ['fieldId', 'fieldName'], path)
  return { field: refOf(by, key[by]!, `${path}/${by}`), value: key.keyValue, path: `${path}/keyValue` }
}

function refOf(by: 'fieldId' | 'fieldName', key: string, path: string): FieldRef {
  return by === 'fieldId' ? { by: 'id', key: key.toLowerCase(), path } : { by: 'name', key, path }
}

/** Returns the projects of a body; undefined if it has none. */
function projectsIn(body: ProjectsBody): ProjectRefs | undefined {
  const sent = oneOf(body, ['projectIds', 'projects'])
  if (!sent) return undefined
  const path = `/body/${sent}`
  const pathOf = (index?: number) => (index === undefined ? path : `${path}/${index}`)
  const projects = { refs: body[sent]!, pathOf }
  requireDistinct(projects)
  return projects
}

const NO_PROJECTS: ProjectRefs = { refs: [], pathOf: () => '/body/projects' }

/** Returns the projects of a body. Throws ValidationFailed if it has none. */
export function requireProjects(body: ProjectsBody): ProjectRefs {
  requireOneOf(body, ['projectIds', 'projects'])
  return projectsIn(body)!
}

function typeIn(body: CreateBody, userId: string): FindType {
  requireOneOf(body, ['credentialTypeId', 'credentialType'])
  const { credentialTypeId, credentialType } = body
  return credentialTypeId === undefined ? typeByName(credentialType!, userId) : typeById(credentialTypeId)
}

/** Returns the requested fields, or undefined for all fields. */
export function fieldsIn({ fieldIds, fieldNames }: RevealBody): FieldRef[] | undefined {
  const sent = oneOf({ fieldIds, fieldNames }, ['fieldIds', 'fieldNames'])
  if (!sent) return undefined
  const by = sent === 'fieldIds' ? 'fieldId' : 'fieldName'
  return (fieldIds ?? fieldNames)!.map((key, index) => refOf(by, key, `/body/${sent}/${index}`))
}

/** Returns the credential that a body of the user describes. Throws ValidationFailed. */
export function newCredentialOf(body: CreateBody, userId: string): NewCredential {
  const [findType, inputs, projects, expiresAt] = allOf(
    () => typeIn(body, userId),
    () => valuesIn(body),
    () => projectsIn(body) ?? NO_PROJECTS,
    () => timeOf(body.expiresAt ?? null, '/body/expiresAt')
  )
  return {
    name: body.credentialName,
    description: body.description ?? null,
    externalId: null,
    projects,
    expiresAt,
    findType,
    valuesFor: ({ fields }) => new Map([['main', applyValues(fields, defaultsOf(fields), inputs)]])
  }
}

/** Returns the change that a body describes, without its events. Throws ValidationFailed. */
export function changeOf(body: UpdateBody, options: { merges: boolean }): Omit<Change, 'events'> {
  const { credentialName: name, description, expiresAt } = body
  const [inputs, projects, expires] = allOf(
    () => oneOf(body, ['keys', 'values']) && valuesIn(body, options),
    () => projectsIn(body),
    () => (expiresAt === undefined ? undefined : timeOf(expiresAt, '/body/expiresAt'))
  )
  return {
    name,
    description,
    expiresAt: expires,
    projects,
    values:
      inputs && hasValues(body)
        ? (fields, values) => values.set('main', applyValues(fields, values.get('main') ?? new Map(), inputs))
        : undefined
  }
}

const PROPERTIES: Record<string, string> = { values: 'keys', projects: 'projectIds' }

/** Returns the names of the changed properties, the same by name and by id, for an audit event. */
export function changedBy(body: UpdateBody): string[] {
  return Object.keys(body).map((name) => PROPERTIES[name] ?? name)
}
