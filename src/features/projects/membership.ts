import type { FastifyRequest } from 'fastify'
import { type PreloadingGuard, preloaded } from '../../auth/preload.ts'
import { atLeast } from '../../auth/roles.ts'
import type { Transaction } from '../../db/database.ts'
import type { ProjectRole } from '../../db/tables.ts'
import { guard } from '../../http/guard.ts'
import { Forbidden, NotFound } from '../../http/problems.ts'
import { isUuid } from '../../http/schemas.ts'
import { lockRole } from './member-repository.ts'
import { type ProjectRow, projectById } from './repository.ts'

/**
 * Returns the project if the caller has at least this role in it. Throws NotFound if the id is unknown or
 * malformed, and Forbidden if the caller is not a member or has a lower role.
 */
export async function membershipOf(
  request: FastifyRequest,
  projectId: string | undefined,
  needed: ProjectRole
): Promise<ProjectRow> {
  const { userId } = request.principal
  const caller = { userId, projectId: null }
  const rows = isUuid(projectId)
    ? await projectById.find(request.server.services.db, caller, { id: projectId })
    : []
  if (rows.length === 0) throw new NotFound({ detail: 'There is no such project.' })
  return requireMember(rows, needed)
}

/**
 * Locks the user's role in the project until the transaction ends. Throws Forbidden if it is too low: it may
 * have changed since the guard ran.
 */
export async function lockMembership(
  trx: Transaction,
  projectId: string,
  userId: string,
  needed: ProjectRole
): Promise<void> {
  requireRole(await lockRole(trx, projectId, userId), needed)
}

function requireMember(rows: Awaited<ReturnType<typeof projectById.find>> | undefined, needed: ProjectRole) {
  const [project] = rows ?? []
  if (!project) throw new NotFound()
  requireRole(project.role, needed)
  return { ...project, role: project.role }
}

const inPath = (param: 'id' | 'projectId') =>
  preloaded(projectById, ({ params }) => {
    const id = (params as Record<string, string>)[param]
    return isUuid(id) ? { id } : undefined
  })

/** Throws Forbidden if the user is not a member, or if the role is too low. */
export function requireRole(
  role: ProjectRole | null | undefined,
  needed: ProjectRole
): asserts role is ProjectRole {
  if (!role) throw new Forbidden({ detail: 'You are not a member of this project.' })
  if (!atLeast(role, needed))
    throw new Forbidden({ detail: `This requires at least the role ${needed} in the project.` })
}

/** Guard for members of the project in the path who have at least this role. */
export function member(needed: ProjectRole, param: 'id' | 'projectId' = 'id'): PreloadingGuard<ProjectRow> {
  const { preload, rowsOf } = inPath(param)
  // `principal` throws for project tokens.
  const check = guard(async (request) => requireMember(request.principal && (await rowsOf(request)), needed))
  return Object.assign(check, { preload })
}

/** Guard for members of the project in the path and for its own tokens, for which `userId` is null. */
export function memberOrProjectToken(
  param: 'id' | 'projectId'
): PreloadingGuard<{ id: string; userId: string | null }> {
  const { preload, rowsOf } = inPath(param)
  const check = guard(async (request) => {
    const { caller } = request
    if (caller?.type !== 'project-token') {
      const { userId } = request.principal
      return { id: requireMember(await rowsOf(request), 'viewer').id, userId }
    }
    if (caller.projectId !== (request.params as Record<string, string>)[param]?.toLowerCase())
      throw new Forbidden({ detail: 'The token belongs to another project.' })
    return { id: caller.projectId, userId: null }
  })
  return Object.assign(check, { preload })
}
