import { eventRows, type Origin, record } from '../../audit/record.ts'
import { inTransaction } from '../../db/database.ts'
import { isDatabaseError, isRetryable, isUnavailable } from '../../db/errors.ts'
import { Unavailable } from '../../http/problems.ts'
import { uuidv7 } from '../../ids.ts'
import type { Services } from '../../services.ts'
import type { TypeWithFields } from '../credential-types/repository.ts'
import { eventOf, linkEvents } from './events.ts'
import { insertCredential } from './insert-repository.ts'
import { requireEditor } from './links.ts'
import type { CredentialRow } from './repository.ts'
import { sealAll, type Values } from './sealing.ts'
import { explainTaken } from './taken.ts'
import type { FindType } from './which-type.ts'

export interface NewCredential {
  name: string
  description: string | null
  externalId: string | null
  projectIds: readonly string[]
  expiresAt: Date | null
  findType: FindType
  /** What to store, by environment; throws what there is to say when the input does not fit the type. */
  valuesFor(type: TypeWithFields): Map<string, Values>
}

/** A new credential as its owner sees it, and its values in `main`: who has just stored them has not to open them. */
export interface Made {
  row: Omit<CredentialRow, 'values'>
  values: Values
}

/**
 * Creates a credential of the owner's, sealed, linked and recorded: in one statement,
 * or in the transaction that `db` is. Throws NameTaken, ExternalIdTaken, NotFound or Forbidden for a project, Unavailable
 * when it cannot be recorded, and what the input throws; then nothing is created.
 */
export async function createCredential(
  services: Services,
  ownerId: string,
  origin: Origin,
  input: NewCredential
): Promise<Made> {
  const { db } = services
  try {
    return await create(services, ownerId, origin, input)
  } catch (error) {
    const isRefused = isDatabaseError(error) && (isRetryable(error) || !isUnavailable(error))
    if (db.isTransaction || !isRefused) throw error
    // Whether it was the credential or its event that was refused, only two statements tell.
    return inTransaction(db, (trx) => create({ ...services, db: trx }, ownerId, origin, input))
  }
}

async function create(
  { db, keyring }: Services,
  ownerId: string,
  origin: Origin,
  input: NewCredential
): Promise<Made> {
  for (let attempt = 1; attempt <= 4; attempt++) {
    const type = await input.findType(db, attempt > 1)
    let byEnvironment: Map<string, Values>
    try {
      byEnvironment = input.valuesFor(type)
    } catch (error) {
      // The type may have come to fit since it was read.
      if (attempt === 1) continue
      throw error
    }
    const id = uuidv7()
    const credential = { id, name: input.name, owner_id: ownerId }
    const links = linkEvents(credential, { added: input.projectIds, removed: [] })
    const sealed = sealAll(keyring, id, 1, byEnvironment)
    const events = [eventOf('created', credential), ...links]
    const inserted = await insertCredential(db, {
      ...sealed,
      id,
      ownerId,
      typeId: type.id,
      typeRevision: type.revision,
      name: input.name,
      description: input.description,
      externalId: input.externalId,
      expiresAt: input.expiresAt,
      environmentNames: [...byEnvironment.keys()],
      projectIds: [...input.projectIds],
      linkIds: input.projectIds.map(() => uuidv7()),
      events: db.isTransaction ? [] : eventRows(origin, events)
    }).catch(explainTaken)
    if (inserted) {
      if (db.isTransaction) await record(db, origin, events)
      const row = {
        ...inserted,
        id,
        owner_id: ownerId,
        type_id: type.id,
        name: input.name,
        description: input.description,
        expires_at: input.expiresAt,
        type_revision: type.revision,
        environments: [...byEnvironment.keys()].join(' '),
        usage_count: 0
      }
      return { row, values: byEnvironment.get('main') ?? new Map() }
    }
    // Not allowed to link, or the type has changed since it was read: then once more with the type as it is now.
    await requireEditor(db, ownerId, input.projectIds)
  }
  throw new Unavailable({ detail: 'The credential type is being changed; try again.', retryAfter: 1 })
}
