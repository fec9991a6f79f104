import type { FastifyRequest } from 'fastify'
import { type AuditEvent, audited, eventRows, originOf, record } from '../../audit/record.ts'
import { callerOf, tokenOf } from '../../auth/principal.ts'
import type { Keyring } from '../../crypto/keyring.ts'
import type { Database, Transaction } from '../../db/database.ts'
import { Forbidden, NotFound, TooManyEnvironments, Unavailable } from '../../http/problems.ts'
import { uuidv7 } from '../../ids.ts'
import { type FieldRow, findTypeWithFields } from '../credential-types/repository.ts'
import { getAtRevision } from '../credential-types/type-cache.ts'
import { type ProjectRefs, projectIdsOf } from '../projects/refs.ts'
import { atomicWrite } from './atomic-write.ts'
import { mapConstraintError } from './constraint-errors.ts'
import { MAX_ENVIRONMENTS } from './input.ts'
import { type LinkChanges, requireEditor } from './links.ts'
import {
  type ChangingCredential,
  type CredentialRow,
  findForChange,
  type PreloadedCredential,
  visibleHead
} from './repositories/credential-repository.ts'
import { lockCredential, updateCredential } from './repositories/write-repository.ts'
import { requireRevision, type Target } from './revision.ts'
import { opener, sealAll, UnchangedValue, type Values } from './sealing.ts'
import { openShownValues, type ShownValues, showValues } from './shown-values.ts'

/** A change of a credential. Undefined properties do not change. */
export interface Change {
  name?: string | undefined
  description?: string | null | undefined
  expiresAt?: Date | null | undefined
  projects?: ProjectRefs | undefined
  /** Modifies the values of each environment in place. */
  values?: ((fields: readonly FieldRow[], values: Map<string, Values>) => void) | undefined
  /** Returns the audit events of the change, given the changed credential. */
  events(row: ChangingCredential, links: LinkChanges): AuditEvent[]
}

/** A changed or created credential, as its owner sees it. */
export interface Changed {
  row: Omit<CredentialRow, 'values'>
  shown: ShownValues
}

/**
 * Changes the owner's credential and returns it. Takes no lock while values are encrypted: the statement that
 * writes checks that the revision is still the one that was read, and if it is not, all is repeated under a
 * lock. A change of any value encrypts all values for the next sealed revision, so that older ciphertexts are
 * no longer valid. `row` is the credential, if a guard has read it. Throws NotFound, RevisionChanged,
 * NameTaken, the errors of `projectIdsOf`, NotFound or Forbidden for a project, DecryptionFailed, and the
 * errors of `values`.
 */
export async function changeCredential(
  request: FastifyRequest,
  { row, ...target }: Target & { row?: PreloadedCredential },
  change: Change
): Promise<Changed> {
  const { ownerId, id, revisions } = target
  const changed = await atomicWrite(request, request.server.services.db, async (db) => {
    if (db.isTransaction) await lock(db as Transaction, target)
    const isUsable = !db.isTransaction && row && (row.sealed_values || !change.values)
    const current =
      isUsable && row.values
        ? { ...row, values: row.values }
        : await findForChange(db, ownerId, id, change.values !== undefined)
    if (!current) throw await lostCredential(db, ownerId, id)
    requireRevision(revisions, current.revision)
    return write(request, db, current, change)
  }).catch(mapConstraintError)
  if (changed) return changed
  throw new Unavailable({ detail: 'The credential type is being changed; try again.', retryAfter: 1 })
}

/**
 * Returns the error for a user who owned the credential when the request was authenticated but no longer owns
 * it: Forbidden if they can still see it, and NotFound otherwise.
 */
export async function lostCredential(db: Database, userId: string, id: string): Promise<Error> {
  const [row] = await visibleHead.find(db, { userId, projectId: null }, { id })
  return row ? new Forbidden() : new NotFound()
}

/** Locks the credential. Throws as `lostCredential` if it is not the owner's, and RevisionChanged. */
export async function lock(trx: Transaction, { ownerId, id, revisions }: Target): Promise<void> {
  const locked = await lockCredential(trx, ownerId, id)
  if (!locked) throw await lostCredential(trx, ownerId, id)
  requireRevision(revisions, locked.revision)
}

async function write(request: FastifyRequest, db: Database, current: ChangingCredential, change: Change) {
  const { keyring } = request.server.services
  const origin = originOf(request)
  const token = tokenOf(callerOf(request))
  const { id, owner_id: ownerId } = current
  const type = await typeOf(db, current)
  const projectIds = change.projects && (await projectIdsOf(db, ownerId, change.projects))
  const links = linkChanges(current.project_ids, projectIds)
  // Decrypted before anything is written: if the data key is not loaded yet, the request is run again.
  const values = change.values && storedValues(keyring, current)
  change.values?.(type.fields, values!)
  if (values && values.size > MAX_ENVIRONMENTS) throw new TooManyEnvironments()
  const shown = values
    ? showValues(type.fields, values.get('main') ?? new Map())
    : openShownValues(keyring, type.fields, current)
  const { name, description, expiresAt } = change
  const row: ChangingCredential = {
    ...current,
    ...(name !== undefined && { name }),
    ...(description !== undefined && { description }),
    ...(expiresAt !== undefined && { expires_at: expiresAt }),
    ...(values && { environments: [...values.keys()], sealed_revision: current.sealed_revision + 1 })
  }
  const isChanged =
    values ||
    links.added.length + links.removed.length > 0 ||
    [name, description, expiresAt].some((one) => one !== undefined)
  if (!isChanged) {
    const result = { row, shown }
    const record = async ({ db: trx }: { db: Transaction }) => {
      await lock(trx, { ownerId, id, revisions: null })
      return { result, events: change.events(row, links) }
    }
    return audited(request, record, { db })
  }
  row.revision++
  const events = change.events(row, links)
  const sealed = sealAll(keyring, id, row.sealed_revision, values ?? new Map())
  const written = await updateCredential(db, {
    ...sealed,
    id,
    ownerId,
    callerKind: token.kind,
    callerTokenId: token.id,
    revision: current.revision,
    typeId: type.id,
    typeRevision: type.revision,
    name: row.name,
    description: row.description,
    expiresAt: row.expires_at,
    sealedRevision: row.sealed_revision,
    changesValues: values !== undefined,
    environmentNames: values ? row.environments : [],
    linkIds: links.added.map(() => uuidv7()),
    linkedProjectIds: links.added,
    unlinkedProjectIds: links.removed,
    projectIds: projectIds ?? current.project_ids,
    events: JSON.stringify(db.isTransaction ? [] : eventRows(origin, events))
  })
  if (!written) {
    // The owner may not link to a project, the credential or its type has changed since it was read, or the
    // caller's access has ended.
    await requireEditor(db, ownerId, links.added)
    return undefined
  }
  if (db.isTransaction) await record(db, origin, events)
  return { row: { ...row, ...written }, shown }
}

async function typeOf(db: Database, { type_id, type_revision }: ChangingCredential) {
  const type = db.isTransaction
    ? await findTypeWithFields(db, type_id)
    : await getAtRevision(db, type_id, type_revision)
  // A type that has credentials cannot be deleted.
  if (!type) throw new NotFound()
  return type
}

/** Returns the stored values by environment. Each is decrypted only when it is needed. */
function storedValues(keyring: Keyring, current: ChangingCredential): Map<string, Values> {
  const { id, sealed_revision, environments, sealed_values } = current
  const byEnvironment = new Map<string, Values>(environments.map((name) => [name, new Map()]))
  for (const { environment, fieldId, sealed } of sealed_values ?? []) {
    const open = opener(keyring, { credentialId: id, environment, sealedRevision: sealed_revision })
    const value = new UnchangedValue(() => open(fieldId, Buffer.from(sealed, 'base64')))
    byEnvironment.get(environment)!.set(fieldId, value)
  }
  return byEnvironment
}

function linkChanges(current: readonly string[], wanted: readonly string[] | undefined): LinkChanges {
  if (!wanted) return { added: [], removed: [] }
  return {
    added: wanted.filter((id) => !current.includes(id)),
    removed: current.filter((id) => !wanted.includes(id))
  }
}
