import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { hashPassword } from '../../crypto/passwords.ts'
import { NotFound } from '../../errors.ts'
import { uuidv7 } from '../../ids.ts'
import { answerCreated } from '../../plugins/idempotency.ts'
import { administrator } from '../../plugins/principal.ts'
import { isUuid, success } from '../../schemas.ts'
import { changeUser } from './change-user.ts'
import { deleteUser } from './delete-user.ts'
import * as repository from './repository.ts'
import * as schema from './schema.ts'
import { visibleUser } from './visible.ts'

export const userRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services

  app.get('', { schema: schema.listUsers, preHandler: administrator }, async (request) => {
    const { page = 1, pageSize = 20, search } = request.query
    const offset = (page - 1) * pageSize
    const { rows, total } = await repository.listUsers(db, { search, limit: pageSize, offset })
    return { data: rows.map(toUser), total, page, pageSize }
  })

  app.post('', { schema: schema.createUser, preHandler: administrator }, async (request, reply) => {
    const { email, name, password, role = 'user' } = request.body
    const password_hash = await hashPassword(password)
    return answerCreated(request, reply, async (db) => {
      const row = await repository.insertUser(db, { id: uuidv7(), email, name, password_hash, role })
      return { headers: { location: `/api/v1/users/${row.id}` }, body: toUser(row) }
    })
  })

  app.get('/:id', { schema: schema.getUser, preHandler: visibleUser }, async (request) =>
    toUser(visibleUser.of(request))
  )

  app.put('/:id', { schema: schema.updateUser, preHandler: visibleUser }, async (request) => {
    const { id } = visibleUser.of(request)
    return toUser(await changeUser(app.services, request.principal, id, request.body))
  })

  app.delete('/:id', { schema: schema.deleteUser, preHandler: administrator }, async (request) => {
    const { id } = request.params
    if (!isUuid(id)) throw new NotFound()
    await deleteUser(app.services, administrator.of(request).userId, id)
    return success
  })
}

function toUser(row: repository.UserRow): Static<typeof schema.User> {
  return {
    id: row.id,
    email: row.email,
    name: row.name,
    role: row.role,
    disabled: row.disabled_at !== null,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString()
  }
}
