import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { created } from '../../audit/created.ts'
import { type AuditEvent, audited } from '../../audit/record.ts'
import { PERSONAL_SCOPES, PROJECT_SCOPES, sessionOnly } from '../../auth/principal.ts'
import { newAccessToken } from '../../crypto/access-tokens.ts'
import { hashToken } from '../../crypto/tokens.ts'
import type { Transaction } from '../../db/database.ts'
import { allOf } from '../../http/faults.ts'
import { guard } from '../../http/guard.ts'
import { oneOf } from '../../http/one-of.ts'
import { pageOf, requestedPage } from '../../http/paging.ts'
import { NotFound, TokenRevoked, ValidationFailed } from '../../http/problems.ts'
import { isUuid, success } from '../../http/schemas.ts'
import { timeOf } from '../../http/times.ts'
import { uuidv7 } from '../../ids.ts'
import { lockMembership, membershipOf } from '../projects/membership.ts'
import { projectIdsOf } from '../projects/refs.ts'
import * as repository from './repository.ts'
import * as schema from './schema.ts'

interface HolderInput {
  projectId?: string
  project?: string
}

/**
 * The owner of the tokens in a request: the caller or, if the request has the id of a project, that project,
 * of which the caller must be an admin.
 */
const holder = guard(async (request): Promise<repository.TokenHolder> => {
  await sessionOnly(request)
  const { userId } = sessionOnly.of(request)
  const input: HolderInput = { ...(request.query as object), ...(request.body as object) }
  const projectId = input.projectId ?? (isUuid(input.project) ? input.project : undefined)
  if (projectId === undefined) return { user_id: userId, project_id: null }
  const { id } = await membershipOf(request, projectId, 'admin')
  return { user_id: null, project_id: id }
})

/**
 * Returns the project with this name as the owner of a token. Runs in the transaction of the create, so that
 * a retry gets the first response even if the project was renamed. `createToken` checks the user's role.
 */
async function projectNamed(trx: Transaction, userId: string, name: string): Promise<repository.TokenHolder> {
  const [id] = await projectIdsOf(trx, userId, { refs: [name], pathOf: () => '/body/project' })
  return { user_id: null, project_id: id! }
}

export const accessTokenRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db, config } = app.services

  app.post('', { schema: schema.createAccessToken, preHandler: holder }, async (request, reply) => {
    const { name, scopes, project, expiresAt = null } = request.body
    const { userId: id, name: userName } = request.principal
    const projectName = isUuid(project) ? undefined : project
    const isOfProject = projectName !== undefined || holder.of(request).project_id !== null
    const [, , expires_at] = allOf(
      () => oneOf(request.body, ['projectId', 'project']),
      () => requireScopesFor(isOfProject, scopes),
      () => futureOf(timeOf(expiresAt, '/body/expiresAt'))
    )
    const create = async ({ db }: { db: Transaction }) => {
      const owner = projectName ? await projectNamed(db, id, projectName) : holder.of(request)
      const token = newAccessToken(owner.project_id ? 'project' : 'personal', config.cell)
      const row = await createToken(db, owner, token, { name, scopes, expires_at, created_by: id })
      return {
        headers: { location: `/api/v1/access-tokens/${row.id}` },
        body: { ...toAccessToken({ ...row, creator: { id, name: userName } }), token },
        events: [eventOf('token.created', row, { scopes })]
      }
    }
    // A retry must not return a revoked token as if it could be used. The guard has not checked the role in a
    // project that the request names.
    return created(request, reply, create, async (trx, body) => {
      if (!(await repository.isValid(trx, body.id))) throw new TokenRevoked()
      if (body.projectId) await lockMembership(trx, body.projectId, id, 'admin')
    })
  })

  app.get('', { schema: schema.listAccessTokens, preHandler: holder }, async (request) => {
    const requested = requestedPage(request, request.query)
    const found = await repository.listTokens(db, holder.of(request), requested)
    return pageOf(requested, found, toAccessToken)
  })

  app.delete('/:id', { schema: schema.revokeAccessToken, preHandler: sessionOnly }, async (request) => {
    const { id } = request.params
    return audited(request, async ({ db }) => {
      const row = isUuid(id)
        ? await repository.revokeToken(db, sessionOnly.of(request).userId, id)
        : undefined
      if (!row) throw new NotFound()
      return { result: success, events: [eventOf('token.revoked', row)] }
    })
  })
}

/**
 * Stores a new token and returns its row. Checks the creator's role again and locks it, so that a user who is
 * losing the role cannot create a token in the meantime. Throws Forbidden.
 */
async function createToken(
  trx: Transaction,
  owner: repository.TokenHolder,
  token: string,
  values: { name: string; scopes: string[]; expires_at: Date | null; created_by: string }
) {
  if (owner.project_id) await lockMembership(trx, owner.project_id, values.created_by, 'admin')
  return repository.insertToken(trx, owner, { id: uuidv7(), token_hash: hashToken(token), ...values })
}

function futureOf(time: Date | null): Date | null {
  if (time === null || time.getTime() > Date.now()) return time
  const message = 'This must be a time in the future.'
  throw new ValidationFailed({ errors: [{ path: '/body/expiresAt', code: 'out-of-range', message }] })
}

function requireScopesFor(isOfProject: boolean, scopes: readonly string[]): void {
  const allowed: readonly string[] = isOfProject ? PROJECT_SCOPES : PERSONAL_SCOPES
  const kind = isOfProject ? 'a token of a project' : 'a token without a project'
  const message = `The scopes of ${kind} are: ${allowed.join(', ')}.`
  const errors = scopes.flatMap((scope, index) =>
    allowed.includes(scope) ? [] : [{ path: `/body/scopes/${index}`, code: 'not-allowed' as const, message }]
  )
  if (errors.length > 0) throw new ValidationFailed({ errors })
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
    createdAt: row.created_at.toISOString(),
    createdBy: row.creator
  }
}
