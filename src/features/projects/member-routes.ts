import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { created } from '../../audit/created.ts'
import { type AuditEvent, audited, originOf, recordDenials } from '../../audit/record.ts'
import { pageOf, requestedPage } from '../../http/paging.ts'
import { NotFound } from '../../http/problems.ts'
import { isUuid, success } from '../../http/schemas.ts'
import { patternOf } from '../../names.ts'
import { listMembers, type MemberRow } from './member-repository.ts'
import * as schema from './member-schema.ts'
import { member } from './membership.ts'
import { addMember, changeMember, removeMember, UnknownUser } from './service.ts'

export const memberRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services
  const anyMember = member('viewer')
  const admin = member('admin')

  app.get('', { schema: schema.listProjectMembers, preHandler: anyMember }, async (request) => {
    const { id: projectId } = anyMember.of(request)
    const requested = requestedPage(request, request.query)
    const filter = { projectId, pattern: patternOf(request.query.search) }
    return pageOf(requested, await listMembers(db, filter, requested), toMember)
  })

  app.post('', { schema: schema.addProjectMember, preHandler: admin }, async (request, reply) => {
    const { id } = admin.of(request)
    const { email } = request.body
    const answer = created(request, reply, async ({ db }) => {
      const row = await addMember(db, request.principal.userId, id, request.body)
      return {
        headers: { location: `/api/v1/projects/${id}/members/${row.user_id}` },
        body: toMember(row),
        events: [eventOf('member.added', id, row.user_id, { role: row.role, email })]
      }
    })
    return answer.catch(async (error) => {
      // The response reveals whether the address has an account, so the attempt is recorded with the address.
      if (error instanceof UnknownUser) {
        const target = { type: 'project', id } as const
        const details = { code: 'unknown-user', email }
        const denial = { action: 'addProjectMember', target, projectId: id, details, ifExists: false }
        await recordDenials(app.services.db, originOf(request), [denial])
      }
      throw error
    })
  })

  app.put('/:userId', { schema: schema.changeProjectMember, preHandler: admin }, async (request) => {
    const userId = idOf(request.params.userId)
    const { id } = admin.of(request)
    const { role } = request.body
    return audited(request, async ({ db }) => {
      const row = await changeMember(db, request.principal.userId, id, userId, role)
      return { result: toMember(row), events: [eventOf('member.changed', id, userId, { role })] }
    })
  })

  // Every member can leave. `removeMember` checks the role that is needed to remove others.
  app.delete('/:userId', { schema: schema.removeProjectMember, preHandler: anyMember }, async (request) => {
    const userId = idOf(request.params.userId)
    const { id } = anyMember.of(request)
    return audited(request, async ({ db }) => {
      await removeMember(db, request.principal.userId, id, userId)
      return { result: success, events: [eventOf('member.removed', id, userId)] }
    })
  })
}

function eventOf(
  action: string,
  projectId: string,
  userId: string,
  details: { role?: string; email?: string } = {}
): AuditEvent {
  return { action, target: { type: 'user', id: userId }, projectId, details }
}

function idOf(text: string): string {
  if (!isUuid(text)) throw new NotFound()
  return text.toLowerCase()
}

function toMember(row: MemberRow): Static<typeof schema.ProjectMember> {
  return {
    userId: row.user_id,
    email: row.email,
    name: row.name,
    role: row.role,
    createdAt: row.created_at.toISOString()
  }
}
