import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { NotFound } from '../../../errors.ts'
import { owned } from '../../../plugins/ownership.ts'
import { success } from '../../../schemas.ts'
import { putEnvironment, removeEnvironment } from '../environments.ts'
import { findCredential } from '../repository.ts'
import { etagOf, revisionsOf } from '../revision.ts'
import * as usages from '../usages.ts'
import * as schema from './part-schema.ts'
import { toCredential } from './resource.ts'

const credential = owned(findCredential)

/** What hangs on a credential: its environments and its usages. */
export const credentialPartRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db, keyring } = app.services

  app.put(
    '/:id/environments/:environment',
    { schema: schema.putEnvironment, preHandler: credential.own },
    async (request, reply) => {
      const { id, owner_id } = credential.own.of(request)
      const revisions = revisionsOf(request.headers['if-match'])
      const { environment } = request.params
      const row = await putEnvironment(app.services, owner_id, id, revisions, environment, request.body.keys)
      reply.header('etag', etagOf(row.revision))
      return toCredential(row, keyring)
    }
  )

  app.delete(
    '/:id/environments/:environment',
    { schema: schema.deleteEnvironment, preHandler: credential.own },
    async (request) => {
      const { id, owner_id } = credential.own.of(request)
      const revisions = revisionsOf(request.headers['if-match'])
      await removeEnvironment(app.services, owner_id, id, revisions, request.params.environment)
      return success
    }
  )

  app.get('/:id/usages', { schema: schema.listUsages, preHandler: credential.own }, async (request) => {
    const rows = await usages.listUsages(db, credential.own.of(request).id)
    return rows.map(toUsage)
  })

  app.put(
    '/:id/usages/:consumer',
    { schema: schema.putUsage, preHandler: credential.own },
    async (request) => {
      const { id } = credential.own.of(request)
      return toUsage(
        await usages.putUsage(db, { credential_id: id, consumer: request.params.consumer, project_id: null })
      )
    }
  )

  app.delete(
    '/:id/usages/:consumer',
    { schema: schema.deleteUsage, preHandler: credential.own },
    async (request) => {
      const { id } = credential.own.of(request)
      if (!(await usages.deleteUsage(db, id, request.params.consumer))) throw new NotFound()
      return success
    }
  )
}

function toUsage(row: Awaited<ReturnType<typeof usages.putUsage>>): Static<typeof schema.Usage> {
  return { consumer: row.consumer, projectId: row.project_id, createdAt: row.created_at.toISOString() }
}
