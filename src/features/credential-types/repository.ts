import { type ExpressionBuilder, type Kysely, type QueryCreator, type Selectable, sql } from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/postgres'
import { lookup } from '../../auth/lookup.ts'
import type { Database, Transaction } from '../../db/database.ts'
import type { Slice } from '../../db/keyset.ts'
import {
  type Found,
  matches,
  type NamedFilter,
  type NamedSort,
  namedOrder,
  pagedList
} from '../../db/paged-list.ts'
import { type Params, prepared } from '../../db/prepared.ts'
import type { Row, Tables } from '../../db/tables.ts'
import { foldName } from '../../names.ts'

export const FIELD = [
  'id',
  'field_name',
  'field_label',
  'field_type',
  'required',
  'secret',
  'description',
  'default_value',
  'options',
  'pattern',
  'constraints',
  'position'
] as const

export type FieldRow = Row<'credential_type_fields', (typeof FIELD)[number]>

export const HEAD = ['t.id', 't.type_name', 't.owner_id', 't.revision'] as const
const WHOLE = [...HEAD, 't.description', 't.created_at', 't.updated_at'] as const

export type TypeHead = Row<'credential_types', 'id' | 'type_name' | 'owner_id' | 'revision'>
/** The part of a type that credentials need. The fields are in order. */
export type TypeWithFields = TypeHead & { fields: FieldRow[] }
export type TypeRow = Omit<Selectable<Tables['credential_types']>, 'name_key' | 'adopted'> & {
  fields: FieldRow[]
  usage_count: number
}

type Eb = ExpressionBuilder<Tables & { t: Tables['credential_types'] }, 't'>

/** The default as its text: a parser would change its numbers. */
const defaultText = sql<string | null>`f.default_value::text`.as('default_value')

/** The fields of the type `t`, in order. */
export const fieldsOf = (eb: Eb) =>
  jsonArrayFrom(
    eb
      .selectFrom('credential_type_fields as f')
      .whereRef('f.type_id', '=', 't.id')
      .select(FIELD.map((column) => (column === 'default_value' ? defaultText : (`f.${column}` as const))))
      .orderBy('f.position')
      .orderBy('f.id')
  )
    .$castTo<FieldRow[]>()
    .as('fields')

const sumOfTotals = sql<number>`coalesce(sum(total), 0)::bigint`

const usageCount = (eb: Eb) =>
  eb
    .selectFrom('credential_totals as c')
    .whereRef('c.type_id', '=', 't.id')
    .select(sumOfTotals.as('count'))
    .$asScalar()
    .$notNull()
    .as('usage_count')

export const types = (db: QueryCreator<Tables>) => db.selectFrom('credential_types as t')

const pageOfTypes = pagedList(
  (db, p: Params<NamedFilter>, given) =>
    types(db)
      .where(matches('t', p, given))
      .select(WHOLE),
  namedOrder('t'),
  { pool: 'longReads' }
)

const detailsOf = prepared(
  (db, p: Params<{ ids: readonly string[] }>) =>
    types(db)
      .where(sql<boolean>`t.id = any(${p.ids}::uuid[])`)
      .select('t.id')
      .select((eb) => [fieldsOf(eb), usageCount(eb)]),
  { pool: 'longReads' }
)

/** Returns one page of types, and the total. */
export async function listTypes(
  db: Database,
  filter: Parameters<typeof pageOfTypes>[1],
  slice: Slice<NamedSort>
): Promise<Found<TypeRow>> {
  const { rows, ...found } = await pageOfTypes(db, filter, slice)
  // Reads fields and usage counts only for the types on the page.
  const details = await detailsOf(db, { ids: rows.map((row) => row.id) })
  const byId = new Map(details.map((one) => [one.id, one]))
  // A type that was deleted in the meantime has none.
  const whole = rows.flatMap((row) => {
    const more = byId.get(row.id)
    return more ? [{ ...row, ...more }] : []
  })
  return { ...found, rows: whole }
}

const byId = (db: Kysely<Tables>, p: Params<{ id: string }>) =>
  types(db)
    .where('t.id', '=', p.id)
    .select(WHOLE)
    .select((eb) => [fieldsOf(eb), usageCount(eb)])

/** Every user sees every type. */
export const visibleType = lookup(byId, { id: 'uuid' })

const findById = prepared(byId)

export async function findType(db: Database, id: string): Promise<TypeRow | undefined> {
  const [row] = await findById(db, { id })
  return row
}

const headById = prepared((db, p: Params<{ id: string }>) => types(db).where('t.id', '=', p.id).select(HEAD))

export async function findTypeHead(db: Database, id: string): Promise<TypeHead | undefined> {
  const [row] = await headById(db, { id })
  return row
}

const withFieldsById = prepared((db, p: Params<{ id: string }>) =>
  types(db).where('t.id', '=', p.id).select(HEAD).select(fieldsOf)
)

/**
 * Finds a type with its fields. A transaction that writes values for these fields has to lock the type's row
 * `for key share` and check that it still has this `revision`: see `lockTypes`.
 */
export async function findTypeWithFields(db: Database, typeId: string): Promise<TypeWithFields | undefined> {
  const [row] = await withFieldsById(db, { id: typeId })
  return row
}

const withFieldsByName = prepared((db, p: Params<{ key: string; userId: string }>) =>
  types(db)
    .where('t.name_key', '=', p.key)
    .where('t.adopted', '=', false)
    .where((eb) =>
      eb.or([
        eb('t.owner_id', 'is', null),
        eb('t.owner_id', '=', p.userId),
        eb.exists(
          eb.selectFrom('users as u').whereRef('u.id', '=', 't.owner_id').where('u.role', '=', 'admin')
        )
      ])
    )
    .select(HEAD)
    .select(fieldsOf)
)

/**
 * Finds a type with its fields by its name, as `foldName` compares names: a built-in type, or a type of the
 * user or of an administrator. Types of other users are not found, because they could have a well-known name
 * and fields that are not secret. A type that an administrator took over from a deleted user is found only
 * after it has been changed.
 */
export async function findTypeByName(
  db: Database,
  name: string,
  userId: string
): Promise<TypeWithFields | undefined> {
  const [row] = await withFieldsByName(db, { key: foldName(name), userId })
  return row
}

const usages = prepared((db, p: Params<{ id: string }>) =>
  db.selectFrom('credential_totals').where('type_id', '=', p.id).select(sumOfTotals.as('count'))
)

/** Returns the number of credentials of this type. */
export async function countUsages(db: Database, id: string): Promise<number> {
  const [row] = await usages(db, { id })
  return row!.count
}

/** Returns the number of types that the user owns. */
export async function countTypesOf(trx: Transaction, ownerId: string): Promise<number> {
  const { owned } = await trx
    .selectFrom('credential_types')
    .where('owner_id', '=', ownerId)
    .select((eb) => eb.fn.countAll<number>().as('owned'))
    .executeTakeFirstOrThrow()
  return owned
}

/**
 * Locks the types against changes, and against writes to their credentials, until the transaction ends.
 * Returns the types that exist. Fields must be read by a later statement, because after a wait for the lock
 * this one would return the old fields.
 */
export function lockTypes(trx: Transaction, ids: readonly string[]): Promise<TypeHead[]> {
  return types(trx)
    .where(sql<boolean>`t.id = any(${ids}::uuid[])`)
    .select(HEAD)
    .orderBy('t.id')
    .forUpdate()
    .execute()
}
