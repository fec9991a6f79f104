import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { open } from '../http/guard.ts'
import type { Problem } from '../http/problems.ts'
import { isUuid } from '../http/schemas.ts'
import { originOf, recordDenials, type TargetType } from './record.ts'

declare module 'fastify' {
  interface FastifySchema {
    /**
     * The types of resource that the path's parameters identify. The target of a denial is the first of them
     * that is a UUID. Required for routes with path parameters, unless they are open to everybody.
     */
    auditTarget?: Readonly<Record<string, TargetType>>
    operationId?: string
  }
}

/** A 404 for these is a denial, because it may hide an existing resource. */
const HIDDEN = new Set<TargetType>(['credential', 'user', 'session', 'access-token'])

/** Fails the start if a route with path parameters that requires a caller has no `auditTarget`. */
export const auditTargetsRequired = fp(
  async (app) => {
    app.addHook('onRoute', ({ method, url, schema, preHandler }) => {
      if (!url.includes(':') || [preHandler ?? []].flat().includes(open)) return
      const params = Object.keys(schema?.auditTarget ?? {})
      if (params.length === 0 || !params.every((param) => url.split('/').includes(`:${param}`)))
        throw new Error(`${method} ${url} has no audit target in its path`)
    })
  },
  { name: 'audit-targets-required', fastify: '5.x' }
)

/**
 * Records a denied request of an authenticated caller: a 403, a 404 that may hide a resource, or a value that
 * could not be decrypted. Must succeed before the response is sent.
 */
export async function recordDenial(request: FastifyRequest, { code, status }: Problem): Promise<void> {
  const { schema } = request.routeOptions
  // Without an operation, the request matched no route.
  if (!request.caller || !schema?.operationId) return
  const target = targetOf(schema.auditTarget, request.params as Record<string, string>)
  const isHidden = status === 404 && target !== undefined && HIDDEN.has(target.type)
  if (!isHidden && status !== 403 && code !== 'decryption-failed') return
  const denial = {
    action: schema.operationId,
    target,
    projectId: target?.type === 'project' ? target.id : projectOf(request),
    details: { code, status },
    ifExists: isHidden
  }
  await recordDenials(request.server.services.db, originOf(request), [denial])
}

function targetOf(types: Readonly<Record<string, TargetType>> = {}, params: Record<string, string>) {
  for (const [param, type] of Object.entries(types)) {
    const id = params[param]
    if (isUuid(id)) return { type, id: id.toLowerCase() }
  }
  return undefined
}

/** The project that the request names in addition to its target. */
function projectOf({ params, query }: FastifyRequest): string | null {
  const { projectId } = { ...(query as object), ...(params as object) } as { projectId?: unknown }
  const { project_id = projectId } = (query ?? {}) as { project_id?: unknown }
  return typeof project_id === 'string' && isUuid(project_id) ? project_id.toLowerCase() : null
}
