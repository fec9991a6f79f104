import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { audited } from '../../../audit/record.ts'
import { own } from '../../../auth/ownership.ts'
import { guard } from '../../../http/guard.ts'
import { InsufficientScope, NotFound } from '../../../http/problems.ts'
import { isUuid, success } from '../../../http/schemas.ts'
import { putEnvironment, removeEnvironment } from '../environments.ts'
import { eventOf } from '../events.ts'
import { findInProject, visibleHead } from '../repository.ts'
import { etagOf, revisionsOf } from '../revision.ts'
import { transferCredential } from '../transfer.ts'
import * as usages from '../usages.ts'
import * as schema from './part-schema.ts'
import { sealedIn, toCredential } from './resource.ts'

const ownCredential = own(visibleHead)

/** What hangs on a credential: its environments and its usages. */
export const credentialPartRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db, keyring } = app.services

  app.put(
    '/:id/environments/:environment',
    { schema: schema.putEnvironment, preHandler: ownCredential },
    async (request, reply) => {
      const { id, owner_id } = ownCredential.of(request)
      const revisions = revisionsOf(request.headers['if-match'])
      const { environment } = request.params
      const changed = await audited(request, async (services) => {
        const row = await putEnvironment(services, owner_id, id, revisions, environment, request.body.keys)
        const details = { environment, revision: row.revision, changed: ['keys'] }
        const events = [eventOf('updated', row, { details })]
        return { result: await toCredential(db, row, sealedIn(keyring, row)), events }
      })
      reply.header('etag', etagOf(changed.revision))
      return changed
    }
  )

  app.delete(
    '/:id/environments/:environment',
    { schema: schema.deleteEnvironment, preHandler: ownCredential },
    async (request) => {
      const row = ownCredential.of(request)
      const revisions = revisionsOf(request.headers['if-match'])
      const { environment } = request.params
      return audited(request, async (services) => {
        await removeEnvironment(services, row.owner_id, row.id, revisions, environment)
        const details = { environment, changed: ['environments'] }
        return { result: success, events: [eventOf('updated', row, { details })] }
      })
    }
  )

  app.post(
    '/:id/transfer',
    { schema: schema.transferAppCredential, preHandler: ownCredential },
    async (request) => {
      const row = ownCredential.of(request)
      const revisions = revisionsOf(request.headers['if-match'])
      return audited(request, async ({ db }) => {
        const to = await transferCredential(db, row.owner_id, row.id, revisions, request.body.email)
        const details = { from: row.owner_id, to }
        // Both owners see it: the one who gave, and the one who has it now.
        const events = [row.owner_id, to].map((owner_id) =>
          eventOf('transferred', { ...row, owner_id }, { details })
        )
        return { result: success, events }
      })
    }
  )

  app.get('/:id/usages', { schema: schema.listUsages, preHandler: usageWriter }, async (request) => {
    const { id, projectId } = usageWriter.of(request)
    const rows = await usages.listUsages(db, id, projectId)
    return rows.map(toUsage)
  })

  app.put('/:id/usages/:consumer', { schema: schema.putUsage, preHandler: usageWriter }, async (request) => {
    const { projectId, ...row } = usageWriter.of(request)
    const { consumer } = request.params
    return audited(request, async ({ db }) => {
      const { usage, isNew } = await usages.putUsage(db, {
        credential_id: row.id,
        consumer,
        project_id: projectId
      })
      return { result: toUsage(usage), events: isNew ? [usageEvent('added', row, projectId, consumer)] : [] }
    })
  })

  app.delete(
    '/:id/usages/:consumer',
    { schema: schema.deleteUsage, preHandler: usageWriter },
    async (request) => {
      const { projectId, ...row } = usageWriter.of(request)
      const { consumer } = request.params
      return audited(request, async ({ db }) => {
        if (!(await usages.deleteUsage(db, row.id, consumer, projectId))) throw new NotFound()
        return { result: success, events: [usageEvent('removed', row, projectId, consumer)] }
      })
    }
  )
}

/** The credential's owner, and machines of a project that it is linked to, who write for that project. */
const usageWriter = guard(async (request) => {
  const { caller } = request
  if (caller?.type !== 'project-token') {
    await ownCredential(request)
    return { ...ownCredential.of(request), projectId: null }
  }
  if (!caller.scopes.includes('usages:write')) throw new InsufficientScope()
  const { id } = request.params as { id: string }
  const { db } = request.server.services
  const row = isUuid(id) ? await findInProject(db, caller.projectId, id) : undefined
  if (!row) throw new NotFound()
  return { ...row, projectId: caller.projectId }
})

function usageEvent(
  what: string,
  row: { id: string; name: string; owner_id: string },
  projectId: string | null,
  consumer: string
) {
  return { ...eventOf(what, row, { projectId, details: { consumer } }), action: `usage.${what}` }
}

function toUsage(row: Awaited<ReturnType<typeof usages.listUsages>>[number]): Static<typeof schema.Usage> {
  return { consumer: row.consumer, projectId: row.project_id, createdAt: row.created_at.toISOString() }
}
