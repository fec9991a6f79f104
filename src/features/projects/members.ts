import { type Database, inTransaction, type Transaction } from '../../db/database.ts'
import type { ProjectRole } from '../../db/tables.ts'
import { Forbidden, LastOwner, NotFound, ValidationFailed } from '../../http/problems.ts'
import { deleteMember, findRoles, insertMember, type MemberRow, updateMember } from './member-repository.ts'
import { atLeast } from './membership.ts'
import { lockProject } from './repository.ts'

/**
 * The three acts on members. Each locks the project, so that they come one after the other, and looks at the roles
 * again after that: the guard's look may be outdated. Owners are made, changed and taken out by owners only.
 */

/** Throws Forbidden, AlreadyMember, and ValidationFailed when nobody has that e-mail address. */
export async function addMember(
  db: Database,
  callerId: string,
  projectId: string,
  { email, role }: { email: string; role: ProjectRole }
): Promise<MemberRow> {
  return inTransaction(db, async (trx) => {
    const { caller } = await lockRoles(trx, projectId, callerId, callerId)
    requireRank(caller, role)
    const member = await insertMember(trx, projectId, { email, role })
    if (member) return member
    const message = 'Nobody has that e-mail address.'
    throw new ValidationFailed({ errors: [{ path: '/body/email', code: 'unknown-user', message }] })
  })
}

/** Throws Forbidden, LastOwner, and NotFound when the user is not a member. */
export async function changeMember(
  db: Database,
  callerId: string,
  projectId: string,
  userId: string,
  role: ProjectRole
): Promise<MemberRow> {
  return inTransaction(db, async (trx) => {
    const { caller, user, owners } = await lockRoles(trx, projectId, callerId, userId)
    requireRank(caller, role)
    if (!user) throw new NotFound()
    requireRank(caller, user)
    if (user === 'owner' && role !== 'owner' && owners === 1) throw new LastOwner()
    return (await updateMember(trx, projectId, userId, role))!
  })
}

/** Takes a member out; anybody may leave. Throws Forbidden, LastOwner, and NotFound when the user is not a member. */
export async function removeMember(
  db: Database,
  callerId: string,
  projectId: string,
  userId: string
): Promise<void> {
  await inTransaction(db, async (trx) => {
    const { caller, user, owners } = await lockRoles(trx, projectId, callerId, userId)
    if (userId !== callerId) requireRank(caller, user ?? 'viewer')
    if (!user) throw new NotFound()
    if (user === 'owner' && owners === 1) throw new LastOwner()
    await deleteMember(trx, projectId, userId)
  })
}

async function lockRoles(trx: Transaction, projectId: string, callerId: string, userId: string) {
  if (!(await lockProject(trx, projectId))) throw new NotFound()
  // A statement of its own: the one that waits for the lock sees the members as they were before.
  const { caller, ...rest } = await findRoles(trx, projectId, callerId, userId)
  if (!caller) throw new Forbidden({ detail: 'You are not a member of this project.' })
  return { caller, ...rest }
}

/** Admins have members of every role but one in their hands, and owners all. */
function requireRank(caller: ProjectRole, concerned: ProjectRole): void {
  const needed = concerned === 'owner' ? 'owner' : 'admin'
  if (!atLeast(caller, needed))
    throw new Forbidden({ detail: `This takes the role ${needed} in the project.` })
}
