import type { Static } from '@sinclair/typebox'
import { type Database, lockName, type Transaction } from '../../db/database.ts'
import { violates } from '../../db/errors.ts'
import { type InputError, NotFound, TooManyTypes, TypeInUse } from '../../http/problems.ts'
import { uuidv7 } from '../../ids.ts'
import { diffFields } from './fields.ts'
import * as repository from './repository.ts'
import type { CredentialTypeCreate, CredentialTypeUpdate } from './schema.ts'
import * as writes from './write-repository.ts'

type Changes = Static<typeof CredentialTypeUpdate>

/** The maximum number of types of a user. */
const MAX_TYPES = 200

/** Creates a type with fields from `newFields`. Throws NameTaken and TooManyTypes. */
export async function createType(
  trx: Transaction,
  ownerId: string,
  { typeName, description = null }: Pick<Static<typeof CredentialTypeCreate>, 'typeName' | 'description'>,
  fields: repository.FieldRow[]
): Promise<repository.TypeRow> {
  await lockName(trx, `types-of/${ownerId}`)
  if ((await repository.countTypesOf(trx, ownerId)) >= MAX_TYPES) throw new TooManyTypes()
  const type = { id: uuidv7(), type_name: typeName, description, owner_id: ownerId }
  return { ...type, ...(await writes.insertType(trx, type, fields)), fields, usage_count: 0 }
}

/**
 * Changes a type and returns it. Throws NotFound, ValidationFailed, NameTaken, and TypeInUse (or a foreign
 * key violation, see `mapTypeInUse`) if existing credentials would no longer be valid, or if credentials of
 * other users would change their meaning.
 */
export async function updateType(
  trx: Transaction,
  callerId: string,
  id: string,
  { typeName, description, fields }: Changes
): Promise<repository.TypeRow> {
  // Until the transaction ends, no value can be written for the previous fields.
  const [type] = await repository.lockTypes(trx, [id])
  if (!type) throw new NotFound()
  // A resolve returns the name of the type.
  const isRenamed = typeName !== undefined && typeName !== type.type_name
  if (isRenamed && (await writes.isUsedByOthers(trx, id, callerId))) {
    const message = 'Other users have credentials of this type.'
    const errors: InputError[] = [{ path: '/body/typeName', code: 'type-in-use', message }]
    throw new TypeInUse({ usageCount: await repository.countUsages(trx, id), errors })
  }
  const fieldsChanged = fields !== undefined && (await updateFields(trx, callerId, id, fields))
  const columns: writes.TypeChanges = {}
  if (typeName !== undefined) columns.type_name = typeName
  if (description !== undefined) columns.description = description
  if (fieldsChanged || Object.keys(columns).length > 0)
    await writes.updateType(trx, id, columns, fieldsChanged)
  return (await repository.findType(trx, id))!
}

/** Returns false if there was nothing to change. */
async function updateFields(
  trx: Transaction,
  callerId: string,
  id: string,
  entries: NonNullable<Changes['fields']>
): Promise<boolean> {
  const { fields } = (await repository.findTypeWithFields(trx, id))!
  const { saved, removed, mustBeEmpty, mustBeOwn, mustBeFilled } = diffFields(fields, entries)
  const idsOf = (rows: readonly repository.FieldRow[]) => rows.map((row) => row.id)
  const invalid = await writes.listInvalidFields(trx, id, callerId, {
    mustBeEmpty: idsOf(mustBeEmpty),
    mustBeOwn: idsOf(mustBeOwn),
    mustBeFilled: idsOf(mustBeFilled)
  })
  if (invalid.length > 0) {
    throw new TypeInUse({
      usageCount: await repository.countUsages(trx, id),
      errors: saved.filter((field) => invalid.includes(field.id)).map(inUse)
    })
  }
  await writes.deleteFields(trx, idsOf(removed))
  await writes.saveFields(
    trx,
    saved.map((field) => ({ ...field, type_id: id }))
  )
  return saved.length + removed.length > 0
}

function inUse({ position }: repository.FieldRow): InputError {
  const message =
    'This would make values of existing credentials invalid, leave a required field without a value, or ' +
    'change the meaning of credentials of other users.'
  return { path: `/body/fields/${position}`, code: 'type-in-use', message }
}

/** Throws NotFound, and a foreign key violation if the type has credentials: see `mapTypeInUse`. */
export async function deleteType(trx: Transaction, id: string): Promise<void> {
  if (!(await writes.deleteType(trx, id))) throw new NotFound()
}

const USES = ['credentials_type_id_fkey', 'credential_keys_field_id_fkey']

/**
 * Throws TypeInUse, with the number of credentials, in place of a foreign key violation, and any other error
 * unchanged. `db` must not be the failed transaction.
 */
export async function mapTypeInUse(db: Database, id: string, error: unknown): Promise<never> {
  if (!USES.some((constraint) => violates(error, constraint))) throw error
  throw new TypeInUse({ usageCount: await repository.countUsages(db, id) })
}
