import { PROJECT_ROLES, type ProjectRole } from '../db/tables.ts'

const RANK: Record<ProjectRole, number> = { viewer: 0, editor: 1, admin: 2, owner: 3 }

/** True if a member with this role may do everything that `needed` may. */
export function atLeast(role: ProjectRole, needed: ProjectRole): boolean {
  return RANK[role] >= RANK[needed]
}

/** All roles for which `atLeast(role, needed)` holds, for use in queries. */
export function rolesAtLeast(needed: ProjectRole): ProjectRole[] {
  return PROJECT_ROLES.filter((role) => atLeast(role, needed))
}
