import { sql } from 'kysely'
import type { Database, Transaction } from '../../db/database.ts'
import { violates } from '../../db/errors.ts'
import { NameTaken, Unauthenticated } from '../../http/problems.ts'
import { JsonText } from '../../json.ts'
import { foldName } from '../../names.ts'
import { FIELD, type FieldRow } from './repository.ts'

/** The unique index on the names of types. */
export const NAME_KEY = 'credential_types_name_key'

type StoredField = FieldRow & { type_id: string }

const COLUMNS = [...FIELD, 'type_id'] as const

/** The fields as rows of a single parameter. */
function rowsOf(fields: readonly StoredField[]) {
  const rows = fields.map(({ default_value, ...field }) => ({
    ...field,
    default_value: default_value === null ? null : new JsonText(default_value)
  }))
  return sql<StoredField>`json_to_recordset(${JSON.stringify(rows)}::json)`.as<'f'>(
    sql`f(id uuid, type_id uuid, field_name text, field_label text, field_type text, required boolean,
      secret boolean, description text, default_value json, options text[], pattern text, constraints jsonb,
      position integer)`
  )
}

/** Inserts a type with its fields in one statement. Throws NameTaken. */
export async function insertType(
  db: Database,
  type: { id: string; type_name: string; description: string | null; owner_id: string },
  fields: readonly FieldRow[]
): Promise<{ revision: number; created_at: Date; updated_at: Date }> {
  const stored = fields.map((field) => ({ ...field, type_id: type.id }))
  try {
    return await db
      .with('inserted', (q) =>
        q
          .insertInto('credential_types')
          .values({ ...type, name_key: foldName(type.type_name) })
          .returning(['revision', 'created_at', 'updated_at'])
      )
      .with('fields', (q) =>
        q
          .insertInto('credential_type_fields')
          .columns(COLUMNS)
          .expression((eb) => eb.selectFrom(rowsOf(stored)).select(COLUMNS))
      )
      .selectFrom('inserted')
      .select(['revision', 'created_at', 'updated_at'])
      .executeTakeFirstOrThrow()
  } catch (error) {
    // The owner was deleted in the meantime.
    if (violates(error, 'credential_types_owner_id_fkey')) throw new Unauthenticated()
    throw violates(error, NAME_KEY) ? new NameTaken() : error
  }
}

export interface TypeChanges {
  type_name?: string
  description?: string | null
}

/** Throws NameTaken. With `fieldsChanged`, a new revision invalidates writes based on the previous fields. */
export async function updateType(
  trx: Transaction,
  id: string,
  { type_name, description }: TypeChanges,
  fieldsChanged: boolean
): Promise<void> {
  try {
    await trx
      .updateTable('credential_types')
      .set({
        adopted: false,
        description,
        ...(type_name !== undefined && { type_name, name_key: foldName(type_name) })
      })
      .set((eb) => ({
        revision: eb('revision', '+', fieldsChanged ? 1 : 0),
        updated_at: sql<Date>`now()`
      }))
      .where('id', '=', id)
      .execute()
  } catch (error) {
    throw violates(error, NAME_KEY) ? new NameTaken() : error
  }
}

/** Returns false if the type does not exist. */
export async function deleteType(db: Database, id: string): Promise<boolean> {
  const result = await db.deleteFrom('credential_types').where('id', '=', id).executeTakeFirst()
  return result.numDeletedRows > 0n
}

/** Inserts or updates the fields in one statement, so that two of them can swap names. */
export async function saveFields(trx: Transaction, fields: readonly StoredField[]): Promise<void> {
  if (fields.length === 0) return
  await trx
    .insertInto('credential_type_fields')
    .columns(COLUMNS)
    .expression((eb) => eb.selectFrom(rowsOf(fields)).select(COLUMNS))
    .onConflict((conflict) =>
      conflict.column('id').doUpdateSet((eb) => {
        const [, ...changed] = FIELD
        return Object.fromEntries(changed.map((column) => [column, eb.ref(`excluded.${column}`)]))
      })
    )
    .execute()
}

export async function deleteFields(trx: Transaction, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  await trx.deleteFrom('credential_type_fields').where(sql<boolean>`id = any(${ids}::uuid[])`).execute()
}

/** True if a user other than this one has a credential of the type. */
export async function isUsedByOthers(trx: Transaction, typeId: string, userId: string): Promise<boolean> {
  const row = await trx
    .selectFrom('credential_totals')
    .where('type_id', '=', typeId)
    .where('owner_id', '!=', userId)
    .having((eb) => eb(eb.fn.sum('total'), '>', 0))
    .select((eb) => eb.fn.sum('total').as('total'))
    .executeTakeFirst()
  return row !== undefined
}

/**
 * Returns the fields of `mustBeEmpty` that have a value, the fields of `mustBeOwn` that have one in a
 * credential of another user than the caller, and the fields of `mustBeFilled` that have none in an
 * environment of some credential of the type.
 */
export async function listInvalidFields(
  trx: Transaction,
  typeId: string,
  callerId: string,
  { mustBeEmpty, mustBeOwn, mustBeFilled }: Record<'mustBeEmpty' | 'mustBeOwn' | 'mustBeFilled', string[]>
): Promise<string[]> {
  if (mustBeEmpty.length + mustBeOwn.length + mustBeFilled.length === 0) return []
  const { rows } = await sql<{ id: string }>`
    select f.id from unnest(${mustBeEmpty}::uuid[]) as f(id)
      where exists (select from credential_keys k where k.field_id = f.id)
    union all
    select f.id from unnest(${mustBeOwn}::uuid[]) as f(id)
      where exists (
        select from credential_keys k join credentials c on c.id = k.credential_id
        where k.field_id = f.id and c.owner_id <> ${callerId}::uuid)
    union all
    select f.id from unnest(${mustBeFilled}::uuid[]) as f(id)
      where exists (
        select from credentials c
        left join credential_environments e on e.credential_id = c.id
        left join credential_keys k on k.credential_id = c.id and k.environment = e.name and k.field_id = f.id
        where c.type_id = ${typeId} and k.field_id is null)`.execute(trx)
  return rows.map((row) => row.id)
}
