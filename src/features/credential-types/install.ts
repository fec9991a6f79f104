import { isDeepStrictEqual } from 'node:util'
import { type Database, inTransaction, lockName, type Transaction } from '../../db/database.ts'
import { violates } from '../../db/errors.ts'
import { type BuiltInField, type BuiltInType, catalogue } from './catalogue.ts'
import { freeNames, listTypesWithFields, type RenamedType, upsertTypes } from './catalogue-repository.ts'
import { type FieldRow, lockTypes, type TypeRow } from './repository.ts'
import { NAME_KEY, saveFields } from './write-repository.ts'

type Known = Pick<TypeRow, 'type_name' | 'description' | 'fields'>

/**
 * Brings the built-in types to what the catalogue says, in one transaction; when they are, one read is all. Replicas
 * that start together queue. A user's type that has taken the name of a built-in one becomes `name (2)`, and is given
 * back. What the catalogue no longer has stays: an older replica must not take away what a newer one brought, and
 * credentials may use it; a migration removes it.
 */
export async function installCatalogue(
  db: Database,
  types: readonly BuiltInType[] = catalogue
): Promise<RenamedType[]> {
  if ((await listStale(db, types)).length === 0) return []
  for (let attempt = 1; ; attempt++) {
    try {
      return await inTransaction(db, (trx) => install(trx, types))
    } catch (error) {
      // Somebody took a name between its look-up and its use.
      if (attempt === 5 || !violates(error, NAME_KEY)) throw error
    }
  }
}

async function install(trx: Transaction, types: readonly BuiltInType[]): Promise<RenamedType[]> {
  await lockName(trx, 'catalogue')
  await lockTypes(trx, idsOf(types))
  const stale = await listStale(trx, types)
  const renamed = await freeNames(trx, stale)
  await upsertTypes(trx, stale)
  await saveFields(
    trx,
    stale.flatMap((type) =>
      type.fields.map((field, position) => ({ ...rowOf(field, position), type_id: type.id }))
    )
  )
  return renamed.filter(({ id }) => !idsOf(types).includes(id))
}

/** The types that are not in the database as they are here. */
async function listStale(db: Database, types: readonly BuiltInType[]): Promise<BuiltInType[]> {
  const known = await listTypesWithFields(db, idsOf(types))
  const byId = new Map(known.map((type) => [type.id, type]))
  return types.filter((type) => !isUpToDate(type, byId.get(type.id)))
}

const idsOf = (types: readonly BuiltInType[]) => types.map((type) => type.id)

function isUpToDate(type: BuiltInType, known: Known | undefined): boolean {
  if (known?.type_name !== type.typeName || known.description !== type.description) return false
  const byId = new Map(known.fields.map((field) => [field.id, field]))
  return type.fields.every((field, position) => isDeepStrictEqual(byId.get(field.id), rowOf(field, position)))
}

function rowOf(field: BuiltInField, position: number): FieldRow {
  return {
    id: field.id,
    field_name: field.fieldName,
    field_label: field.fieldLabel,
    field_type: field.fieldType,
    required: field.required,
    secret: field.secret,
    description: field.description,
    default_value: field.defaultValue,
    options: field.options,
    pattern: field.pattern,
    position
  }
}
