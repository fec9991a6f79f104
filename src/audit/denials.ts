import type { FastifyRequest } from 'fastify'
import type { Problem } from '../http/problems.ts'
import { isUuid } from '../http/schemas.ts'
import { type Denial, originOf, recordDenials, type TargetType } from './record.ts'

/** What the ids in a path are ids of: by the path's beginning, and by the parameter. */
const TARGETS: [prefix: string, param: string, type: TargetType][] = [
  ['/api/v1/app-credentials', 'id', 'credential'],
  ['/api/credentials', 'id', 'credential'],
  ['/api/v1/app-credentials', 'projectId', 'project'],
  ['/api/v1/projects', 'projectId', 'project'],
  ['/api/v1/projects', 'id', 'project'],
  ['/api/projects', 'id', 'project'],
  ['/api/v1/credential-types', 'id', 'credential-type'],
  ['/api/v1/access-tokens', 'id', 'access-token'],
  ['/api/v1/users', 'id', 'user'],
  ['/api/v1/sessions', 'id', 'session']
]

/** Things of which others may not know that they are there: for them a 404 is a refusal. */
const HIDDEN = new Set<TargetType>(['credential', 'user', 'session', 'access-token'])

/**
 * Writes that a known caller was refused: every 403, a 404 that hides what is there, and a value that did not open. Before it is answered: when it
 * cannot be written, the caller gets the error of that instead.
 */
export async function recordDenial(request: FastifyRequest, problem: Problem): Promise<void> {
  if (
    !request.caller ||
    !(problem.status === 403 || problem.status === 404 || problem.code === 'decryption-failed')
  )
    return
  const denial = denialOf(request, problem)
  if (denial) await recordDenials(request.server.services.db, originOf(request), [denial])
}

function denialOf(request: FastifyRequest, { code, status }: Problem): Denial | undefined {
  const { url = '', schema } = request.routeOptions
  const operationId = (schema as { operationId?: string } | undefined)?.operationId
  // No operation, no denial: there is no such route.
  if (!operationId) return undefined
  const target = targetOf(url, request.params as Record<string, string>)
  const hides = status === 404 && target !== undefined && HIDDEN.has(target.type)
  if (status === 404 && !hides) return undefined
  const projectId = target?.type === 'project' ? target.id : projectOf(request)
  return { action: operationId, target, projectId, details: { code, status }, ifThere: hides }
}

/** The project that the request names beside its target. */
function projectOf({ params, query }: FastifyRequest): string | null {
  const { projectId } = { ...(query as object), ...(params as object) } as { projectId?: unknown }
  const { project_id = projectId } = (query ?? {}) as { project_id?: unknown }
  return typeof project_id === 'string' && isUuid(project_id) ? project_id.toLowerCase() : null
}

function targetOf(url: string, params: Record<string, string>): Denial['target'] {
  for (const [prefix, param, type] of TARGETS) {
    const id = params[param]
    if (url.startsWith(`${prefix}/`) && isUuid(id)) return { type, id: id.toLowerCase() }
  }
  return undefined
}
