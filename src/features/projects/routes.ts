import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { created } from '../../audit/created.ts'
import { type AuditEvent, audited } from '../../audit/record.ts'
import { signedIn } from '../../auth/principal.ts'
import { pageOf, requestedNamedPage } from '../../http/paging.ts'
import { success } from '../../http/schemas.ts'
import { uuidv7 } from '../../ids.ts'
import { memberRoutes } from './member-routes.ts'
import { member } from './membership.ts'
import * as repository from './repository.ts'
import * as schema from './schema.ts'
import { changeProject, deleteProject } from './service.ts'

export const projectRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services
  const anyMember = member('viewer')
  const admin = member('admin')
  const owner = member('owner')

  app.get('', { schema: schema.listProjects, preHandler: signedIn }, async (request) => {
    const { userId } = signedIn.of(request)
    const [requested, filter] = requestedNamedPage(request, request.query)
    return pageOf(requested, await repository.listProjects(db, { ...filter, userId }, requested), toProject)
  })

  app.post('', { schema: schema.createProject, preHandler: signedIn }, async (request, reply) => {
    const { name, description = null } = request.body
    const { userId } = signedIn.of(request)
    return created(request, reply, async ({ db }) => {
      const row = await repository.insertProject(db, userId, { id: uuidv7(), name, description })
      return {
        headers: { location: `/api/v1/projects/${row.id}` },
        body: toProject(row),
        events: [eventOf('project.created', row)]
      }
    })
  })

  app.get('/:id', { schema: schema.getProject, preHandler: anyMember }, async (request) =>
    toProject(anyMember.of(request))
  )

  app.put('/:id', { schema: schema.updateProject, preHandler: admin }, async (request) => {
    const { id } = admin.of(request)
    const { name, description } = request.body
    const { userId } = request.principal
    return audited(request, async ({ db }) => {
      const row = await changeProject(db, userId, id, { name, description })
      return { result: toProject(row), events: [eventOf('project.updated', row)] }
    })
  })

  app.delete('/:id', { schema: schema.deleteProject, preHandler: owner }, async (request) => {
    const project = owner.of(request)
    return audited(request, async ({ db }) => {
      const unlinked = await deleteProject(db, request.principal.userId, project.id)
      return { result: success, events: [...unlinked, eventOf('project.deleted', project)] }
    })
  })

  await app.register(memberRoutes, { prefix: '/:id/members' })
}

function eventOf(action: string, { id, name }: { id: string; name: string }): AuditEvent {
  return { action, target: { type: 'project', id, name }, projectId: id }
}

function toProject(row: repository.ProjectRow): Static<typeof schema.Project> {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    role: row.role,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString()
  }
}
