import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { created } from '../../audit/created.ts'
import { audited } from '../../audit/record.ts'
import { administrator } from '../../auth/principal.ts'
import { hashPassword } from '../../crypto/passwords.ts'
import { guard } from '../../http/guard.ts'
import { pageOf, requestedNamedPage } from '../../http/paging.ts'
import { Forbidden, NotFound } from '../../http/problems.ts'
import { isUuid, success } from '../../http/schemas.ts'
import { uuidv7 } from '../../ids.ts'
import { userEvent } from './events.ts'
import * as repository from './repository.ts'
import * as schema from './schema.ts'
import * as service from './service.ts'

/** The user in the path, for administrators and for that user. Others get NotFound. */
const userSelfOrAdmin = guard(async (request) => {
  const { id } = request.params as { id: string }
  const { db } = request.server.services
  const user = isUuid(id) ? await repository.findUser(db, request.principal.userId, id) : undefined
  if (!user) throw new NotFound()
  return user
})

export const userRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db, passwordChanged } = app.services

  app.get('', { schema: schema.listUsers, preHandler: administrator }, async (request) => {
    const [requested, filter] = requestedNamedPage(request, request.query)
    return pageOf(requested, await repository.listUsers(db, filter, requested), toUser)
  })

  app.post('', { schema: schema.createUser, preHandler: administrator }, async (request, reply) => {
    const { email, name, password, role = 'user' } = request.body
    const password_hash = await hashPassword(password)
    return created(request, reply, async ({ db }) => {
      const row = await repository.insertUser(db, { id: uuidv7(), email, name, password_hash, role })
      return {
        headers: { location: `/api/v1/users/${row.id}` },
        body: toUser(row),
        events: [userEvent('user.created', row, { role })]
      }
    })
  })

  app.get('/:id', { schema: schema.getUser, preHandler: userSelfOrAdmin }, async (request) =>
    toUser(userSelfOrAdmin.of(request))
  )

  app.put('/:id', { schema: schema.updateUser, preHandler: userSelfOrAdmin }, async (request) => {
    const { id } = userSelfOrAdmin.of(request)
    const { password, ...values } = request.body
    requireOwnName(request.principal.role, request.body)
    const passwordHash = password === undefined ? undefined : await hashPassword(password)
    const user = await changed(request, async ({ db }) => {
      const row = await service.changeUser(db, id, { ...values, passwordHash })
      const details = {
        changed: Object.keys(request.body),
        ...(values.role !== undefined && { role: values.role }),
        ...(values.disabled !== undefined && { disabled: values.disabled })
      }
      return { result: toUser(row), events: [userEvent('user.updated', row, details)] }
    })
    if (passwordHash !== undefined) await passwordChanged?.()
    return user
  })

  app.delete('/:id', { schema: schema.deleteUser, preHandler: administrator }, async (request) => {
    const { id } = request.params
    if (!isUuid(id)) throw new NotFound()
    const deleted = await changed(request, async ({ db }) => {
      const user = await service.deleteUser(db, administrator.of(request).userId, id)
      return { result: success, events: [userEvent('user.deleted', user)] }
    })
    await passwordChanged?.()
    return deleted
  })
}

/**
 * Same as `audited`, for a change of a user. Changes by administrators are serialized, so that two who demote
 * each other leave one administrator and do not deadlock.
 */
function changed<T>(request: FastifyRequest, work: Parameters<typeof audited<T>>[1]): Promise<T> {
  const lockFirst = request.principal.role === 'admin' ? { lockFirst: service.lockAdministrators } : {}
  return audited(request, work, { userLock: 'update', ...lockFirst })
}

/** Throws Forbidden if a user who is not an administrator changes more than the name. */
function requireOwnName(role: string, { name, ...rest }: Static<typeof schema.UserUpdate>): void {
  if (role === 'admin' || Object.values(rest).every((value) => value === undefined)) return
  throw new Forbidden({ detail: 'You can change only your name; an administrator can change the rest.' })
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
