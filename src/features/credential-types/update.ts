import type { Static } from '@sinclair/typebox'
import { inTransaction, type Transaction } from '../../db/database.ts'
import { type InputError, NotFound, TypeInUse } from '../../http/problems.ts'
import type { Services } from '../../services.ts'
import { changesOf } from './fields.ts'
import * as repository from './repository.ts'
import type { CredentialTypeChanges } from './schema.ts'
import * as writes from './write-repository.ts'

type Changes = Static<typeof CredentialTypeChanges>

/**
 * Changes a type as one, and gives it as it is then. Throws ValidationFailed, NameTaken, and TypeInUse (or a foreign
 * key's violation: see `explainInUse`) when its credentials would no longer fit; then nothing is changed.
 */
export function updateType({ db }: Services, id: string, changes: Changes): Promise<repository.TypeRow> {
  return inTransaction(db, (trx) => change(trx, id, changes))
}

async function change(trx: Transaction, id: string, { typeName, description, fields }: Changes) {
  // From here to the end no value is written by the fields as they are now.
  if ((await repository.lockTypes(trx, [id])).length === 0) throw new NotFound()
  const fieldsChanged = fields !== undefined && (await changeFields(trx, id, fields))
  const columns: writes.TypeChanges = {}
  if (typeName !== undefined) columns.type_name = typeName
  if (description !== undefined) columns.description = description
  if (fieldsChanged || Object.keys(columns).length > 0)
    await writes.updateType(trx, id, columns, fieldsChanged)
  return (await repository.findType(trx, id))!
}

/** Whether anything was changed. */
async function changeFields(
  trx: Transaction,
  id: string,
  entries: NonNullable<Changes['fields']>
): Promise<boolean> {
  const { fields } = (await repository.findTypeWithFields(trx, id))!
  const { saved, removed, emptied, filled } = changesOf(fields, entries)
  const idsOf = (rows: readonly repository.FieldRow[]) => rows.map((row) => row.id)
  const unfit = await writes.listUnfit(trx, id, idsOf(emptied), idsOf(filled))
  if (unfit.length > 0) {
    throw new TypeInUse({
      usageCount: await repository.countUsages(trx, id),
      errors: saved.filter((field) => unfit.includes(field.id)).map(inUse)
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
  const message = 'Credentials of the type have values that this would make unfit, or lack one that it needs.'
  return { path: `/body/fields/${position}`, code: 'type-in-use', message }
}
