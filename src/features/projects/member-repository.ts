import { sql } from 'kysely'
import type { Transaction } from '../../db/database.ts'
import { violates } from '../../db/errors.ts'
import { orderBy } from '../../db/keyset.ts'
import { pagedList } from '../../db/paged-list.ts'
import type { Params } from '../../db/prepared.ts'
import type { ProjectRole, Row } from '../../db/tables.ts'
import { emailHash } from '../../emails.ts'
import { AlreadyMember } from '../../http/problems.ts'

const columns = ['m.user_id', 'u.email', 'u.name', 'm.role', 'm.created_at'] as const

export type MemberRow = Row<'project_members', 'user_id' | 'role' | 'created_at'> &
  Row<'users', 'email' | 'name'>

type MemberSort = `${'' | '-'}${'createdAt' | 'name'}`

/** Returns one page of the project's members, and the total. `pattern` is for keys of names. */
export const listMembers = pagedList(
  (db, p: Params<{ projectId: string; pattern: string }>, given) =>
    db
      .selectFrom('project_members as m')
      .innerJoin('users as u', 'u.id', 'm.user_id')
      .where('m.project_id', '=', p.projectId)
      .$if(given.has('pattern'), (query) => query.where('u.name_key', 'like', p.pattern))
      .select(columns),
  (sort: MemberSort) =>
    orderBy(
      sort,
      {
        createdAt: { value: sql`m.created_at`, type: 'timestamptz' },
        name: { value: sql`u.name_key`, type: 'text' }
      },
      { value: sql`m.user_id`, type: 'uuid' }
    ),
  { pool: 'longReads' }
)

/**
 * Returns the user's role in the project. Locks it, and the project before it, until the transaction ends.
 */
export async function lockRole(
  trx: Transaction,
  projectId: string,
  userId: string
): Promise<ProjectRole | undefined> {
  const row = await trx
    .selectFrom('projects as p')
    .innerJoin('project_members as m', 'm.project_id', 'p.id')
    .select('m.role')
    .where('p.id', '=', projectId)
    .where('m.user_id', '=', userId)
    .forKeyShare('p')
    .forShare('m')
    .executeTakeFirst()
  return row?.role
}

/** Returns the roles of the two users in the project, and its number of owners. */
export async function findRoles(trx: Transaction, projectId: string, callerId: string, userId: string) {
  const rows = await trx
    .selectFrom('project_members')
    .select(['user_id', 'role'])
    .where('project_id', '=', projectId)
    .where((eb) => eb.or([eb('user_id', 'in', [callerId, userId]), eb('role', '=', 'owner')]))
    .execute()
  const roleOf = (id: string) => rows.find((row) => row.user_id === id)?.role
  return {
    caller: roleOf(callerId),
    user: roleOf(userId),
    owners: rows.filter((row) => row.role === 'owner').length
  }
}

export async function countMembers(trx: Transaction, projectId: string): Promise<number> {
  const { members } = await trx
    .selectFrom('project_members')
    .where('project_id', '=', projectId)
    .select((eb) => eb.fn.countAll<number>().as('members'))
    .executeTakeFirstOrThrow()
  return members
}

/** Returns undefined if no user who can sign in has the e-mail address. Throws AlreadyMember. */
export async function insertMember(
  trx: Transaction,
  projectId: string,
  { email, role }: { email: string; role: ProjectRole }
): Promise<MemberRow | undefined> {
  try {
    return await trx
      .with('u', (q) =>
        q
          .selectFrom('users')
          .select(['id', 'email', 'name'])
          .where(sql<Buffer>`email_hash(email)`, '=', emailHash(email))
          .where('disabled_at', 'is', null)
      )
      .with('m', (q) =>
        q
          .insertInto('project_members')
          .columns(['project_id', 'user_id', 'role'])
          .expression((eb) =>
            eb
              .selectFrom('u')
              .select((of) => [
                of.cast<string>(of.val(projectId), 'uuid').as('project_id'),
                'u.id',
                of.cast<ProjectRole>(of.val(role), 'text').as('role')
              ])
          )
          .returning(['user_id', 'role', 'created_at'])
      )
      .selectFrom('m')
      .innerJoin('u', 'u.id', 'm.user_id')
      .select(columns)
      .executeTakeFirst()
  } catch (error) {
    // The user was deleted between the two parts of the statement.
    if (violates(error, 'project_members_user_id_fkey')) return undefined
    throw violates(error, 'project_members_pkey') ? new AlreadyMember() : error
  }
}

/**
 * Returns undefined if the user is not a member. A member who is not an owner holds no name.
 */
export function updateMember(
  trx: Transaction,
  projectId: string,
  userId: string,
  role: ProjectRole
): Promise<MemberRow | undefined> {
  return trx
    .updateTable('project_members as m')
    .from('users as u')
    .set({
      role,
      held_name_key: sql<string | null>`case when m.role = 'owner' and ${role} = 'owner'
        then m.held_name_key end`
    })
    .where('m.project_id', '=', projectId)
    .where('m.user_id', '=', userId)
    .whereRef('u.id', '=', 'm.user_id')
    .returning(columns)
    .executeTakeFirst()
}

export async function deleteMember(trx: Transaction, projectId: string, userId: string): Promise<void> {
  await trx
    .deleteFrom('project_members')
    .where('project_id', '=', projectId)
    .where('user_id', '=', userId)
    .execute()
}
