import type { FastifyRequest } from 'fastify'
import { type Params, prepared } from '../../db/prepared.ts'
import type { ProjectRole } from '../../db/tables.ts'
import { type Guard, guard } from '../../http/guard.ts'
import { Forbidden, NotFound } from '../../http/problems.ts'
import { isUuid } from '../../http/schemas.ts'

const RANK: Record<ProjectRole, number> = { viewer: 0, editor: 1, admin: 2, owner: 3 }

/** Whether a member of this role may do what that role may. */
export function atLeast(role: ProjectRole, needed: ProjectRole): boolean {
  return RANK[role] >= RANK[needed]
}

export interface Membership {
  id: string
  name: string
  description: string | null
  createdAt: Date
  updatedAt: Date
  /** The caller's. */
  role: ProjectRole
}

const findMembership = prepared((db, p: Params<{ projectId: string; userId: string }>) =>
  db
    .selectFrom('projects as p')
    .leftJoin('project_members as m', (join) =>
      join.onRef('m.project_id', '=', 'p.id').on('m.user_id', '=', p.userId)
    )
    .where('p.id', '=', p.projectId)
    .select(['p.id', 'p.name', 'p.description', 'p.created_at', 'p.updated_at', 'm.role'])
)

/**
 * The caller's membership in the project, with at least this role. Projects are not hidden: an unknown or malformed id
 * is NotFound, no membership or too small a role Forbidden.
 */
export async function membershipOf(
  request: FastifyRequest,
  projectId: string | undefined,
  needed: ProjectRole
): Promise<Membership> {
  if (!isUuid(projectId)) throw new NotFound()
  const { db } = request.server.services
  const [row] = await findMembership(db, { projectId, userId: request.principal.userId })
  if (!row) throw new NotFound()
  if (!row.role) throw new Forbidden({ detail: 'You are not a member of this project.' })
  if (!atLeast(row.role, needed))
    throw new Forbidden({ detail: `This takes the role ${needed} in the project.` })
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    role: row.role
  }
}

/** Members of the project in the path who have at least this role; refuses as `membershipOf`. */
export function member(needed: ProjectRole, param: 'id' | 'projectId' = 'id'): Guard<Membership> {
  return guard((request) => membershipOf(request, (request.params as Record<string, string>)[param], needed))
}

/** Members of the project in the path, and its own machines; gives its id, and the user if it is one. */
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
