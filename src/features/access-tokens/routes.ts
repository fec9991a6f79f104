import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { type AuditEvent, audited } from '../../audit/record.ts'
import { inPerson, PERSONAL_SCOPES, PROJECT_SCOPES } from '../../auth/principal.ts'
import { guard } from '../../http/guard.ts'
import { answerCreated } from '../../http/idempotency.ts'
import { NotFound, ValidationFailed } from '../../http/problems.ts'
import { isUuid, success } from '../../http/schemas.ts'
import { timeOf } from '../../http/times.ts'
import { membershipOf } from '../projects/membership.ts'
import { makeToken } from './make-token.ts'
import * as repository from './repository.ts'
import * as schema from './schema.ts'

/** Whose tokens the caller, in person, may make and see: their own, or those of the project that they administer. */
const holder = guard(async (request): Promise<repository.TokenHolder> => {
  await inPerson(request)
  const { projectId } = { ...(request.query as object), ...(request.body as object) } as {
    projectId?: string
  }
  if (projectId === undefined) return { user_id: inPerson.of(request).userId, project_id: null }
  const { id } = await membershipOf(request, projectId, 'admin')
  return { user_id: null, project_id: id }
})

export const accessTokenRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services

  app.post('', { schema: schema.createAccessToken, preHandler: holder }, async (request, reply) => {
    const { name, scopes, expiresAt = null } = request.body
    const whose = holder.of(request)
    requireScopesFor(whose.project_id ? PROJECT_SCOPES : PERSONAL_SCOPES, scopes)
    const expires_at = futureOf(timeOf(expiresAt, '/body/expiresAt'))
    return answerCreated(request, reply, (db) =>
      audited(
        request,
        async ({ db }) => {
          const { token, row } = await makeToken(db, whose, request.principal.userId, {
            name,
            scopes,
            expiresAt: expires_at
          })
          const headers = { location: `/api/v1/access-tokens/${row.id}` }
          return {
            result: { headers, body: { ...toAccessToken(row), token } },
            events: [eventOf('token.created', row, { scopes })]
          }
        },
        db
      )
    )
  })

  app.get('', { schema: schema.listAccessTokens, preHandler: holder }, async (request) => {
    const rows = await repository.listTokens(db, holder.of(request))
    return rows.map(toAccessToken)
  })

  app.delete('/:id', { schema: schema.revokeAccessToken, preHandler: inPerson }, async (request) => {
    const { id } = request.params
    return audited(request, async ({ db }) => {
      const row = isUuid(id) ? await repository.revokeToken(db, inPerson.of(request).userId, id) : undefined
      if (!row) throw new NotFound()
      return { result: success, events: [eventOf('token.revoked', row)] }
    })
  })
}

function futureOf(time: Date | null): Date | null {
  if (time === null || time.getTime() > Date.now()) return time
  const message = 'A token that has expired is none.'
  throw new ValidationFailed({ errors: [{ path: '/body/expiresAt', code: 'out-of-range', message }] })
}

function requireScopesFor(allowed: readonly string[], scopes: readonly string[]): void {
  const index = scopes.findIndex((scope) => !allowed.includes(scope))
  if (index < 0) return
  const message = `For this token, this has to be one of ${allowed.join(', ')}.`
  throw new ValidationFailed({ errors: [{ path: `/body/scopes/${index}`, code: 'not-allowed', message }] })
}

function eventOf(
  action: string,
  { id, name, project_id }: { id: string; name: string; project_id: string | null },
  details: { scopes?: string[] } = {}
): AuditEvent {
  return { action, target: { type: 'access-token', id, name }, projectId: project_id, details }
}

function toAccessToken(row: repository.AccessTokenRow): Static<typeof schema.AccessToken> {
  return {
    id: row.id,
    name: row.name,
    scopes: row.scopes,
    projectId: row.project_id,
    expiresAt: row.expires_at?.toISOString() ?? null,
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
    createdAt: row.created_at.toISOString()
  }
}
