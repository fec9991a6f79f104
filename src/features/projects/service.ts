import type { Transaction } from '../../db/database.ts'
import type { ProjectRole } from '../../db/tables.ts'
import { LastOwner, NotFound, TooManyMembers, ValidationFailed } from '../../http/problems.ts'
import { linkEvents } from '../credentials/events.ts'
import { unlinkAll } from '../credentials/repositories/link-repository.ts'
import {
  countMembers,
  deleteMember,
  findRoles,
  insertMember,
  type MemberRow,
  updateMember
} from './member-repository.ts'
import { requireRole } from './membership.ts'
import * as repository from './repository.ts'

/**
 * Changes the values of a project that are set. Throws Forbidden, NotFound, and NameTaken if the caller or
 * the former holder of the name has another project with the new one.
 */
export async function changeProject(
  trx: Transaction,
  callerId: string,
  id: string,
  change: repository.ProjectChange
): Promise<repository.ProjectRow> {
  const { caller } = await lockRoles(trx, id, callerId, callerId)
  requireRole(caller, 'admin')
  return repository.updateProject(trx, callerId, id, change)
}

/**
 * Deletes a project that the caller owns, with its links and tokens. Keeps the credentials. Returns an event
 * for each credential that was linked, so that its owner sees the change. Throws NotFound.
 */
export async function deleteProject(trx: Transaction, callerId: string, id: string) {
  // Prevents new links, which would be removed without an event.
  await repository.lockProject(trx, id)
  const credentials = await unlinkAll(trx, id)
  if (!(await repository.deleteProject(trx, callerId, id))) throw new NotFound()
  return credentials.flatMap((credential) => linkEvents(credential, { added: [], removed: [id] }))
}

/** The maximum number of members of a project. */
const MAX_MEMBERS = 1_000

/** Throws Forbidden, AlreadyMember, TooManyMembers, and UnknownUser if no user has the e-mail address. */
export async function addMember(
  trx: Transaction,
  callerId: string,
  projectId: string,
  { email, role }: { email: string; role: ProjectRole }
): Promise<MemberRow> {
  const { caller } = await lockRoles(trx, projectId, callerId, callerId)
  requireRole(caller, managerOf(role))
  if ((await countMembers(trx, projectId)) >= MAX_MEMBERS) throw new TooManyMembers()
  const member = await insertMember(trx, projectId, { email, role })
  if (!member) throw new UnknownUser()
  return member
}

/** No user has the e-mail address. */
export class UnknownUser extends ValidationFailed {
  constructor() {
    const message = 'No user has this e-mail address.'
    super({ errors: [{ path: '/body/email', code: 'unknown-user', message }] })
  }
}

/** Changes a member's role. Throws Forbidden, LastOwner, and NotFound if the user is not a member. */
export async function changeMember(
  trx: Transaction,
  callerId: string,
  projectId: string,
  userId: string,
  role: ProjectRole
): Promise<MemberRow> {
  const { caller, user, owners } = await lockRoles(trx, projectId, callerId, userId)
  requireRole(caller, managerOf(role))
  if (!user) throw new NotFound()
  requireRole(caller, managerOf(user))
  if (user === 'owner' && role !== 'owner' && owners === 1) throw new LastOwner()
  return (await updateMember(trx, projectId, userId, role))!
}

/**
 * Removes a member. Every member may leave. Throws Forbidden, LastOwner, and NotFound if the user is not a
 * member.
 */
export async function removeMember(
  trx: Transaction,
  callerId: string,
  projectId: string,
  userId: string
): Promise<void> {
  const { caller, user, owners } = await lockRoles(trx, projectId, callerId, userId)
  if (userId !== callerId) requireRole(caller, managerOf(user ?? 'viewer'))
  if (!user) throw new NotFound()
  if (user === 'owner' && owners === 1) throw new LastOwner()
  await deleteMember(trx, projectId, userId)
}

/**
 * Locks the project and reads the roles again, because they may have changed since the guard ran. Changes of
 * one project and its members are serialized.
 */
async function lockRoles(trx: Transaction, projectId: string, callerId: string, userId: string) {
  if (!(await repository.lockProject(trx, projectId))) throw new NotFound()
  // In a separate statement, because the one that waits for the lock would return the earlier roles.
  const { caller, ...rest } = await findRoles(trx, projectId, callerId, userId)
  requireRole(caller, 'viewer')
  return { caller, ...rest }
}

/** Returns the role that is needed to add, change or remove members with this role. */
const managerOf = (role: ProjectRole): ProjectRole => (role === 'owner' ? 'owner' : 'admin')
