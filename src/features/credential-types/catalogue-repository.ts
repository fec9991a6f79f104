import { sql } from 'kysely'
import type { Database, Transaction } from '../../db/database.ts'
import { type Params, prepared } from '../../db/prepared.ts'
import { foldName } from '../../names.ts'
import type { BuiltInType } from './catalogue.ts'
import { fieldsOf, HEAD, types } from './repository.ts'

const withFieldsByIds = prepared((db, p: Params<{ ids: readonly string[] }>) =>
  types(db)
    .where(sql<boolean>`t.id = any(${p.ids}::uuid[])`)
    .select([...HEAD, 't.description'])
    .select(fieldsOf)
)

/** Returns the types that exist, in no particular order. */
export function listTypesWithFields(db: Database, ids: readonly string[]) {
  return withFieldsByIds(db, { ids })
}

/** A type that was renamed because a built-in type takes its name. */
export interface RenamedType {
  id: string
  from: string
  to: string
}

/** Renames every other type with one of these names to the first free `name (2)`, `name (3)`, …. */
export async function renameConflicting(
  trx: Transaction,
  types: readonly BuiltInType[]
): Promise<RenamedType[]> {
  const ids = types.map((type) => type.id)
  const keys = types.map((type) => foldName(type.typeName))
  const { rows } = await sql<RenamedType>`
    update credential_types t
    set type_name = other.type_name || suffix, name_key = other.name_key || suffix, updated_at = now()
    from (
      select o.id, o.type_name, o.name_key, ' (' || coalesce(free.n::text, o.id::text) || ')' as suffix
      from unnest(${ids}::uuid[], ${keys}::text[]) as b(id, key)
      join credential_types o on o.name_key = b.key and o.id <> b.id
      left join lateral (
        select n from generate_series(2, 100) n
        where not exists (select from credential_types x where x.name_key = o.name_key || ' (' || n || ')')
        order by n limit 1
      ) free on true
    ) other
    where t.id = other.id
    returning t.id, other.type_name as "from", t.type_name as "to"`.execute(trx)
  return rows
}

export async function upsertTypes(trx: Transaction, types: readonly BuiltInType[]): Promise<void> {
  if (types.length === 0) return
  await trx
    .insertInto('credential_types')
    .values(
      types.map((type) => ({
        id: type.id,
        type_name: type.typeName,
        name_key: foldName(type.typeName),
        description: type.description,
        owner_id: null
      }))
    )
    .onConflict((conflict) =>
      conflict.column('id').doUpdateSet((eb) => ({
        type_name: eb.ref('excluded.type_name'),
        name_key: eb.ref('excluded.name_key'),
        description: eb.ref('excluded.description'),
        revision: eb('credential_types.revision', '+', 1),
        updated_at: sql<Date>`now()`
      }))
    )
    .execute()
}
