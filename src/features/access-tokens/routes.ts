import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { newAccessToken } from '../../crypto/access-tokens.ts'
import { hashToken } from '../../crypto/tokens.ts'
import { NotFound } from '../../errors.ts'
import { uuidv7 } from '../../ids.ts'
import { answerCreated } from '../../plugins/idempotency.ts'
import { inPerson } from '../../plugins/principal.ts'
import { isUuid, success } from '../../schemas.ts'
import { timeOf } from '../../times.ts'
import * as repository from './repository.ts'
import * as schema from './schema.ts'

export const accessTokenRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services

  app.post('', { schema: schema.createAccessToken, preHandler: inPerson }, async (request, reply) => {
    const { name, scopes, expiresAt = null } = request.body
    const expires = timeOf(expiresAt, '/body/expiresAt')
    return answerCreated(request, reply, async (db) => {
      const token = newAccessToken('personal')
      const row = await repository.insertPersonalToken(db, {
        id: uuidv7(),
        token_hash: hashToken(token),
        name,
        scopes,
        user_id: inPerson.of(request).userId,
        expires_at: expires
      })
      const headers = { location: `/api/v1/access-tokens/${row.id}` }
      return { headers, body: { ...toAccessToken(row), token } }
    })
  })

  app.get('', { schema: schema.listAccessTokens, preHandler: inPerson }, async (request) => {
    const rows = await repository.listPersonalTokens(db, inPerson.of(request).userId)
    return rows.map(toAccessToken)
  })

  app.delete('/:id', { schema: schema.revokeAccessToken, preHandler: inPerson }, async (request) => {
    const { id } = request.params
    const revoked = isUuid(id) && (await repository.revokePersonalToken(db, inPerson.of(request).userId, id))
    if (!revoked) throw new NotFound()
    return success
  })
}

function toAccessToken(row: repository.AccessTokenRow): Static<typeof schema.AccessToken> {
  return {
    id: row.id,
    name: row.name,
    scopes: row.scopes,
    expiresAt: row.expires_at?.toISOString() ?? null,
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
    createdAt: row.created_at.toISOString()
  }
}
