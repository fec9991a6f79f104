import { sql } from 'kysely'
import type { Database, Transaction } from '../../db/database.ts'
import { violates } from '../../db/errors.ts'
import { matches, type NamedFilter, namedOrder, pagedList } from '../../db/paged-list.ts'
import { type Params, prepared } from '../../db/prepared.ts'
import type { Row, UserRole } from '../../db/tables.ts'
import { emailHash } from '../../emails.ts'
import { EmailTaken, UserOwnsCredentials } from '../../http/problems.ts'
import { nameColumns } from '../../names.ts'

const columns = ['id', 'email', 'name', 'role', 'disabled_at', 'created_at', 'updated_at'] as const

export type UserRow = Row<'users', (typeof columns)[number]>

const findVisible = prepared((db, p: Params<{ id: string; callerId: string }>) =>
  db
    .selectFrom('users')
    .select(columns)
    .where('id', '=', p.id)
    .where((eb) =>
      eb.or([
        eb('id', '=', p.callerId),
        eb.exists(
          eb
            .selectFrom('users as caller')
            .select('caller.id')
            .where('caller.id', '=', p.callerId)
            .where('caller.role', '=', 'admin')
        )
      ])
    )
)

/** Finds a user that the caller may see: administrators see all users, other users only themselves. */
export async function findUser(db: Database, callerId: string, id: string): Promise<UserRow | undefined> {
  const [row] = await findVisible(db, { id, callerId })
  return row
}

/** Returns one page of users, and the total. */
export const listUsers = pagedList(
  (db, p: Params<NamedFilter>, given) =>
    db
      .selectFrom('users as u')
      .where(matches('u', p, given))
      .select(columns.map((column) => `u.${column}` as const)),
  namedOrder('u')
)

const LISTED_AT_ONCE = 500

/** All users, in the order of their ids, which is that of their creation. */
export async function* listAllUsers(db: Database): AsyncGenerator<UserRow> {
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const rows = await db
      .selectFrom('users')
      .select(columns)
      .where('id', '>', after)
      .orderBy('id')
      .limit(LISTED_AT_ONCE)
      .execute()
    yield* rows
    if (rows.length < LISTED_AT_ONCE) return
    after = rows.at(-1)!.id
  }
}

/** Finds the id of a user by e-mail address, disabled or not. */
export async function findIdByEmail(db: Database, email: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('users')
    .select('id')
    .where(sql<Buffer>`email_hash(email)`, '=', emailHash(email))
    .executeTakeFirst()
  return row?.id
}

/** Throws EmailTaken if another user has the e-mail address. */
export function insertUser(
  db: Database,
  user: { id: string; email: string; name: string; password_hash: string; role: UserRole }
): Promise<UserRow> {
  return mapEmailTaken(
    db
      .insertInto('users')
      .values({ ...user, ...nameColumns(user.name) })
      .returning(columns)
      .executeTakeFirstOrThrow()
  )
}

export interface UserValues {
  name?: string
  email?: string
  role?: UserRole
  disabled?: boolean
  passwordHash: string | undefined
}

/** Changes the values that are set. Returns undefined if the user was deleted; throws EmailTaken. */
export function updateUser(db: Database, id: string, values: UserValues): Promise<UserRow | undefined> {
  const { disabled, passwordHash, name, ...plain } = values
  return mapEmailTaken(
    db
      .updateTable('users')
      .set({ ...plain, ...(name !== undefined && nameColumns(name)), updated_at: sql<Date>`now()` })
      .$if(passwordHash !== undefined, (query) => query.set({ password_hash: passwordHash! }))
      .$if(disabled !== undefined, (query) =>
        query.set({ disabled_at: disabled ? sql<Date>`coalesce(disabled_at, now())` : null })
      )
      .where('id', '=', id)
      .returning(columns)
      .executeTakeFirst()
  )
}

async function mapEmailTaken<T>(write: Promise<T>): Promise<T> {
  try {
    return await write
  } catch (error) {
    throw violates(error, 'users_email_key') ? new EmailTaken() : error
  }
}

/** Counts the enabled administrators other than this user. */
export async function countOtherAdministrators(trx: Transaction, userId: string): Promise<number> {
  const { others } = await trx
    .selectFrom('users')
    .where('role', '=', 'admin')
    .where('disabled_at', 'is', null)
    .where('id', '!=', userId)
    .select((eb) => eb.fn.countAll<number>().as('others'))
    .executeTakeFirstOrThrow()
  return others
}

/**
 * Locks the user, so that no type, credential or membership can be added for them until the transaction ends.
 */
export function lockUser(trx: Transaction, id: string) {
  return trx.selectFrom('users').select(['id', 'name']).where('id', '=', id).forUpdate().executeTakeFirst()
}

/**
 * Moves the user's credential types to `newOwnerId`; if that is the user, to the longest-standing other
 * administrator.
 */
export async function reassignTypes(trx: Transaction, userId: string, newOwnerId: string): Promise<void> {
  await trx
    .updateTable('credential_types')
    .set((eb) => ({
      adopted: true,
      owner_id: eb
        .selectFrom('users')
        .select('id')
        .where('role', '=', 'admin')
        .where('disabled_at', 'is', null)
        .where('id', '!=', userId)
        .orderBy(sql`id = ${newOwnerId}`, 'desc')
        .orderBy('created_at')
        .orderBy('id')
        .limit(1)
    }))
    .where('owner_id', '=', userId)
    .execute()
}

/** Throws UserOwnsCredentials. */
export async function deleteUser(trx: Transaction, id: string): Promise<void> {
  try {
    await trx.deleteFrom('users').where('id', '=', id).execute()
  } catch (error) {
    throw violates(error, 'credentials_owner_id_fkey') ? new UserOwnsCredentials() : error
  }
}

/** Locks the enabled user with this e-mail address until the transaction ends. */
export function lockUserByEmail(trx: Transaction, email: string) {
  return trx
    .selectFrom('users')
    .select('id')
    .where(sql<Buffer>`email_hash(email)`, '=', emailHash(email))
    .where('disabled_at', 'is', null)
    .forShare()
    .executeTakeFirst()
}

export async function hasUsers(db: Database): Promise<boolean> {
  const row = await db.selectFrom('users').select('id').limit(1).executeTakeFirst()
  return row !== undefined
}

export function findFirstAccount(db: Database) {
  return db
    .selectFrom('users')
    .select(['email', 'role', 'password_hash', 'disabled_at'])
    .orderBy('created_at')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst()
}
