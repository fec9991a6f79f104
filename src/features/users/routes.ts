import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { type AuditEvent, audited } from '../../audit/record.ts'
import { administrator } from '../../auth/principal.ts'
import { hashPassword } from '../../crypto/passwords.ts'
import { answerCreated } from '../../http/idempotency.ts'
import { NotFound } from '../../http/problems.ts'
import { isUuid, success } from '../../http/schemas.ts'
import { uuidv7 } from '../../ids.ts'
import { changeUser } from './change-user.ts'
import { deleteUser } from './delete-user.ts'
import * as repository from './repository.ts'
import * as schema from './schema.ts'
import { visibleUser } from './visible.ts'

export const userRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services

  app.get('', { schema: schema.listUsers, preHandler: administrator }, async (request) => {
    const { page, pageSize, search } = request.query
    const offset = (page - 1) * pageSize
    const { rows, total } = await repository.listUsers(db, { search, limit: pageSize, offset })
    return { data: rows.map(toUser), total, page, pageSize }
  })

  app.post('', { schema: schema.createUser, preHandler: administrator }, async (request, reply) => {
    const { email, name, password, role = 'user' } = request.body
    const password_hash = await hashPassword(password)
    return answerCreated(request, reply, (db) =>
      audited(
        request,
        async ({ db }) => {
          const row = await repository.insertUser(db, { id: uuidv7(), email, name, password_hash, role })
          const result = { headers: { location: `/api/v1/users/${row.id}` }, body: toUser(row) }
          return { result, events: [eventOf('user.created', row, { role })] }
        },
        db
      )
    )
  })

  app.get('/:id', { schema: schema.getUser, preHandler: visibleUser }, async (request) =>
    toUser(visibleUser.of(request))
  )

  app.put('/:id', { schema: schema.updateUser, preHandler: visibleUser }, async (request) => {
    const { id } = visibleUser.of(request)
    return audited(request, async (services) => {
      const row = await changeUser(services, request.principal, id, request.body)
      const { role, disabled } = request.body
      const details = {
        changed: Object.keys(request.body),
        ...(role !== undefined && { role }),
        ...(disabled !== undefined && { disabled })
      }
      return { result: toUser(row), events: [eventOf('user.updated', row, details)] }
    })
  })

  app.delete('/:id', { schema: schema.deleteUser, preHandler: administrator }, async (request) => {
    const { id } = request.params
    if (!isUuid(id)) throw new NotFound()
    return audited(request, async (services) => {
      const user = await deleteUser(services, administrator.of(request).userId, id)
      return { result: success, events: [eventOf('user.deleted', user)] }
    })
  })
}

function eventOf(
  action: string,
  { id, name }: { id: string; name: string },
  details: NonNullable<AuditEvent['details']> = {}
): AuditEvent {
  return { action, target: { type: 'user', id, name }, details }
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
