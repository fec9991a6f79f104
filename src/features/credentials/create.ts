import type { FastifyRequest } from 'fastify'
import { type AuditEvent, eventRows, originOf, record } from '../../audit/record.ts'
import { callerOf, tokenOf } from '../../auth/principal.ts'
import type { Database } from '../../db/database.ts'
import { Unavailable, ValidationFailed } from '../../http/problems.ts'
import { uuidv7 } from '../../ids.ts'
import { findTypeByName, type TypeWithFields } from '../credential-types/repository.ts'
import { getCached, loadType } from '../credential-types/type-cache.ts'
import { type ProjectRefs, projectIdsOf } from '../projects/refs.ts'
import { atomicWrite } from './atomic-write.ts'
import type { Changed } from './change.ts'
import { mapConstraintError } from './constraint-errors.ts'
import { eventOf, linkEvents } from './events.ts'
import { requireEditor } from './links.ts'
import { insertCredential } from './repositories/write-repository.ts'
import { sealAll, type Values } from './sealing.ts'
import { showValues } from './shown-values.ts'

/** Returns the type of a new credential, from the cache or, if `fresh`, the database. Throws if missing. */
export type FindType = (db: Database, fresh: boolean) => Promise<TypeWithFields>

export interface NewCredential {
  name: string
  description: string | null
  externalId: string | null
  /** Returns the Lightning schema of a `raw` credential, if it is not a type; undefined for v1. */
  lightningSchema?: (type: TypeWithFields) => string | null
  projects: ProjectRefs
  expiresAt: Date | null
  findType: FindType
  /** Returns the values to store, by environment. Throws if the input does not fit the type. */
  valuesFor(type: TypeWithFields): Map<string, Values>
}

/**
 * Creates a credential of the caller with its values, links and audit events, in one statement. Throws
 * NameTaken, ExternalIdTaken, the errors of `projectIdsOf`, NotFound or Forbidden for a project, and the
 * errors of `findType` and `valuesFor`.
 */
export async function createCredential(
  request: FastifyRequest,
  db: Database,
  input: NewCredential
): Promise<Changed> {
  const created = await atomicWrite(request, db, (db) => create(request, db, input)).catch(mapConstraintError)
  if (created) return created
  throw new Unavailable({ detail: 'The credential type is being changed; try again.', retryAfter: 1 })
}

async function create(request: FastifyRequest, db: Database, input: NewCredential) {
  for (const fresh of [false, true, true]) {
    const type = await input.findType(db, fresh)
    let values: Map<string, Values>
    try {
      values = input.valuesFor(type)
    } catch (error) {
      // The cached type may be outdated. If it is not, the values are not validated a second time.
      if (fresh || (await input.findType(db, true)).revision === type.revision) throw error
      continue
    }
    const projectIds = await projectIdsOf(db, request.principal.userId, input.projects)
    const created = await insert(request, db, { ...input, projectIds }, type, values)
    if (created) return created
    // Either the owner may not link to a project, the type has changed since it was read, or the caller's
    // access has ended.
    await requireEditor(db, request.principal.userId, projectIds)
  }
  return undefined
}

async function insert(
  request: FastifyRequest,
  db: Database,
  input: Omit<NewCredential, 'projects'> & { projectIds: readonly string[] },
  type: TypeWithFields,
  values: Map<string, Values>
): Promise<Changed | undefined> {
  const { name, description, externalId, lightningSchema, projectIds, expiresAt } = input
  const { keyring } = request.server.services
  const { userId: ownerId } = request.principal
  const token = tokenOf(callerOf(request))
  const origin = originOf(request)
  const id = uuidv7()
  const credential = { id, name, owner_id: ownerId }
  const events: AuditEvent[] = [
    eventOf('created', credential),
    ...linkEvents(credential, { added: projectIds, removed: [] })
  ]
  const environments = [...values.keys()]
  const schema = lightningSchema?.(type) ?? null
  const inserted = await insertCredential(db, {
    ...sealAll(keyring, id, 1, values),
    id,
    ownerId,
    callerKind: token.kind,
    callerTokenId: token.id,
    typeId: type.id,
    typeRevision: type.revision,
    name,
    description,
    externalId,
    lightningSchema: schema,
    expiresAt,
    environmentNames: environments,
    linkIds: projectIds.map(() => uuidv7()),
    linkedProjectIds: projectIds,
    events: JSON.stringify(db.isTransaction ? [] : eventRows(origin, events))
  })
  if (!inserted) return undefined
  if (db.isTransaction) await record(db, origin, events)
  const row = {
    ...inserted,
    id,
    owner_id: ownerId,
    type_id: type.id,
    type_revision: type.revision,
    name,
    description,
    lightning_schema: schema,
    expires_at: expiresAt,
    environments,
    usage_count: 0
  }
  return { row, shown: showValues(type.fields, values.get('main') ?? new Map()) }
}

/** Finds a type by its id. Throws ValidationFailed if there is none. */
export function typeById(id: string): FindType {
  return async (db, fresh) => {
    const type = (fresh ? undefined : getCached(db, id)) ?? (await loadType(db, id))
    if (type) return type
    const message = 'There is no credential type with this id.'
    throw new ValidationFailed({
      errors: [{ path: '/body/credentialTypeId', code: 'unknown-type', message }]
    })
  }
}

/** Finds a type for the user by its name (see `findTypeByName`). Throws ValidationFailed if there is none. */
export function typeByName(name: string, userId: string): FindType {
  return async (db) => {
    const type = await findTypeByName(db, name, userId)
    if (type) return type
    const message = 'No built-in type, own type or type of an administrator has this name.'
    throw new ValidationFailed({ errors: [{ path: '/body/credentialType', code: 'unknown-type', message }] })
  }
}

/** Finds a type for the user by its name, or else by its id. */
export function typeByNameOrId(name: string, userId: string, id: string): FindType {
  const otherwise = typeById(id)
  return async (db, fresh) => (await findTypeByName(db, name, userId)) ?? otherwise(db, fresh)
}
