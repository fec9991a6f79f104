import type { FastifyRequest } from 'fastify'
import { atLeast } from '../../auth/roles.ts'
import type { ProjectRole } from '../../db/tables.ts'
import { type Guard, guard } from '../../http/guard.ts'
import { Forbidden, NotFound } from '../../http/problems.ts'
import { isUuid } from '../../http/schemas.ts'
import { findProject, type ProjectRow } from './repository.ts'

/**
 * Returns the project if the caller has at least this role in it. Projects are not hidden from users:
 * NotFound means that the id is unknown or malformed, and Forbidden that the caller's role does not suffice.
 */
export async function membershipOf(
  request: FastifyRequest,
  projectId: string | undefined,
  needed: ProjectRole
): Promise<ProjectRow> {
  if (!isUuid(projectId)) throw new NotFound()
  const project = await findProject(request.server.services.db, request.principal.userId, projectId)
  if (!project) throw new NotFound()
  requireRole(project.role, needed)
  return { ...project, role: project.role }
}

/** Throws Forbidden if the user is not a member, or if the role does not suffice. */
export function requireRole(
  role: ProjectRole | null | undefined,
  needed: ProjectRole
): asserts role is ProjectRole {
  if (!role) throw new Forbidden({ detail: 'You are not a member of this project.' })
  if (!atLeast(role, needed)) throw new Forbidden({ detail: `This takes the role ${needed} in the project.` })
}

/** Guard for members of the project in the path who have at least this role. */
export function member(needed: ProjectRole, param: 'id' | 'projectId' = 'id'): Guard<ProjectRow> {
  return guard((request) => membershipOf(request, (request.params as Record<string, string>)[param], needed))
}

/** Guard for members of the project in the path and for its own tokens, for which `userId` is null. */
export function memberOrMachine(param: 'id' | 'projectId'): Guard<{ id: string; userId: string | null }> {
  return guard(async (request) => {
    const projectId = (request.params as Record<string, string>)[param]
    const { caller } = request
    if (caller?.type !== 'project-token') {
      const { id } = await membershipOf(request, projectId, 'viewer')
      return { id, userId: request.principal.userId }
    }
    if (caller.projectId !== projectId?.toLowerCase())
      throw new Forbidden({ detail: 'The token is of another project.' })
    return { id: caller.projectId, userId: null }
  })
}
