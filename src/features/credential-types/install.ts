import { isDeepStrictEqual } from 'node:util'
import { type Database, inTransaction, lockName, type Transaction } from '../../db/database.ts'
import { violates } from '../../db/errors.ts'
import { type BuiltInField, type BuiltInType, catalogue } from './catalogue.ts'
import {
  listTypesWithFields,
  type RenamedType,
  renameConflicting,
  upsertTypes
} from './catalogue-repository.ts'
import { type FieldRow, lockTypes, type TypeRow } from './repository.ts'
import { NAME_KEY, saveFields } from './write-repository.ts'

type InstalledType = Pick<TypeRow, 'type_name' | 'description' | 'fields'>

/**
 * Updates the built-in types to match the catalogue, in one transaction; if they match already, this is a
 * single read. Replicas that start together wait for each other. A user's type with the name of a built-in
 * one becomes `name (2)` and is returned. Types and fields that the catalogue does not contain stay: a newer
 * replica may have added them, and credentials may use them. Only a migration removes them.
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
      // A concurrent request took the new name before it was used.
      if (attempt === 5 || !violates(error, NAME_KEY)) throw error
    }
  }
}

async function install(trx: Transaction, types: readonly BuiltInType[]): Promise<RenamedType[]> {
  await lockName(trx, 'catalogue')
  await lockTypes(trx, idsOf(types))
  const stale = await listStale(trx, types)
  const renamed = await renameConflicting(trx, stale)
  await upsertTypes(trx, stale)
  await saveFields(
    trx,
    stale.flatMap((type) =>
      type.fields.map((field, position) => ({ ...rowOf(field, position), type_id: type.id }))
    )
  )
  return renamed.filter(({ id }) => !idsOf(types).includes(id))
}

/** Returns the types that differ from the database. */
async function listStale(db: Database, types: readonly BuiltInType[]): Promise<BuiltInType[]> {
  const installed = await listTypesWithFields(db, idsOf(types))
  const byId = new Map(installed.map((type) => [type.id, type]))
  return types.filter((type) => !isUpToDate(type, byId.get(type.id)))
}

const idsOf = (types: readonly BuiltInType[]) => types.map((type) => type.id)

function isUpToDate(type: BuiltInType, installed: InstalledType | undefined): boolean {
  if (installed?.type_name !== type.typeName || installed.description !== type.description) return false
  const byId = new Map(installed.fields.map((field) => [field.id, field]))
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
    default_value: field.defaultValue === null ? null : JSON.stringify(field.defaultValue),
    options: field.options,
    pattern: field.pattern,
    constraints: field.constraints,
    position
  }
}
