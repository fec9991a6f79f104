import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Database } from '../../../db/database.ts'
import { likePattern } from '../../../db/search.ts'
import { NotFound, ValidationFailed } from '../../../errors.ts'
import { answerCreated } from '../../../plugins/idempotency.ts'
import { member } from '../../../plugins/membership.ts'
import { owned } from '../../../plugins/ownership.ts'
import { signedIn } from '../../../plugins/principal.ts'
import { isUuid, success } from '../../../schemas.ts'
import { timeOf } from '../../../times.ts'
import { type FieldRow, findTypeWithFields } from '../../credential-types/repository.ts'
import { assignProjects } from '../assign.ts'
import { createCredential } from '../create.ts'
import { applyKeys, defaultsOf, distinctIds } from '../input.ts'
import { unlink } from '../links.ts'
import { removeCredential } from '../remove.ts'
import * as repository from '../repository.ts'
import { revealCredential } from '../reveal.ts'
import { etagOf, revisionsOf } from '../revision.ts'
import { updateCredential } from '../update.ts'
import { toCredential, toItem } from './resource.ts'
import * as schema from './schema.ts'

const credential = owned(repository.findCredential)
const projectMember = member('viewer', 'projectId')
const projectAdmin = member('admin', 'projectId')

export const credentialRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db, keyring } = app.services

  app.get('', { schema: schema.listAppCredentials, preHandler: signedIn }, async (request) => {
    const { credentialTypeId, search, page = 1, pageSize = 20 } = request.query
    const filter = {
      ownerId: signedIn.of(request).userId,
      typeId: credentialTypeId,
      pattern: search ? likePattern(search) : undefined
    }
    const { rows, total } = await repository.listCredentials(db, filter, pageSize, (page - 1) * pageSize)
    return { data: rows.map(toItem), total, page, pageSize }
  })

  app.post('', { schema: schema.createAppCredential, preHandler: signedIn }, async (request, reply) => {
    const { userId } = signedIn.of(request)
    const { keys, projectIds = [], expiresAt = null } = request.body
    const input = {
      name: request.body.credentialName,
      description: request.body.description ?? null,
      externalId: null,
      projectIds: distinctIds(projectIds, '/body/projectIds'),
      expiresAt: timeOf(expiresAt, '/body/expiresAt'),
      findType: (db: Database) => requireType(db, request.body.credentialTypeId),
      valuesFor: (fields: readonly FieldRow[]) =>
        new Map([['main', applyKeys(fields, defaultsOf(fields), keys)]])
    }
    return answerCreated(request, reply, async (db) => {
      const row = await createCredential(app.services, db, userId, input)
      const headers = { location: `/api/v1/app-credentials/${row.id}`, etag: etagOf(row.revision) }
      return { headers, body: toCredential(row, keyring) }
    })
  })

  app.get(
    '/:id',
    { schema: schema.getAppCredential, preHandler: credential.seen },
    async (request, reply) => {
      const row = credential.seen.of(request)
      reply.header('etag', etagOf(row.revision))
      return toCredential(row, keyring)
    }
  )

  app.put(
    '/:id',
    { schema: schema.updateAppCredential, preHandler: credential.own },
    async (request, reply) => {
      const { id, owner_id } = credential.own.of(request)
      const { credentialName: name, description, keys, projectIds, expiresAt } = request.body
      const row = await updateCredential(
        app.services,
        owner_id,
        id,
        revisionsOf(request.headers['if-match']),
        {
          name,
          description,
          keys,
          projectIds: projectIds && distinctIds(projectIds, '/body/projectIds'),
          expiresAt: expiresAt === undefined ? undefined : timeOf(expiresAt, '/body/expiresAt')
        }
      )
      reply.header('etag', etagOf(row.revision))
      return toCredential(row, keyring)
    }
  )

  app.delete('/:id', { schema: schema.deleteAppCredential, preHandler: credential.own }, async (request) => {
    const { id, owner_id } = credential.own.of(request)
    await removeCredential(db, owner_id, id, revisionsOf(request.headers['if-match']))
    return success
  })

  app.post(
    '/:id/assign-projects',
    { schema: schema.assignProjects, preHandler: credential.own },
    async (request, reply) => {
      const { id, owner_id } = credential.own.of(request)
      const projectIds = distinctIds(request.body.projectIds, '/body/projectIds')
      const revisions = revisionsOf(request.headers['if-match'])
      const { links, revision } = await assignProjects(db, owner_id, id, revisions, projectIds)
      reply.header('etag', etagOf(revision))
      return links.map((link) => ({
        credentialId: link.credential_id,
        projectId: link.project_id,
        assignedBy: link.assigned_by,
        createdAt: link.created_at.toISOString()
      }))
    }
  )

  app.get(
    '/by-project/:projectId',
    { schema: schema.listCredentialsByProject, preHandler: projectMember },
    async (request) => {
      const { userId } = request.principal
      const rows = await repository.listProjectCredentials(db, {
        projectId: projectMember.of(request).id,
        viewer: userId
      })
      return rows.map(toItem)
    }
  )

  app.delete(
    '/by-project/:projectId/:id',
    { schema: schema.removeCredentialFromProject, preHandler: projectAdmin },
    async (request) => {
      const { id } = request.params
      const removed = isUuid(id) && (await unlink(db, projectAdmin.of(request).id, id))
      if (!removed) throw new NotFound()
      return success
    }
  )

  app.post(
    '/:id/reveal',
    { schema: schema.revealAppCredential, preHandler: credential.own },
    async (request) => {
      const { id, owner_id } = credential.own.of(request)
      const { fieldIds, environment = 'main' } = request.body ?? {}
      const wanted = fieldIds && distinctIds(fieldIds, '/body/fieldIds')
      return revealCredential(app.services, owner_id, id, { fieldIds: wanted, environment })
    }
  )
}

async function requireType(db: Database, id: string) {
  const type = await findTypeWithFields(db, id)
  if (type) return type
  const message = 'There is no credential type of this id.'
  throw new ValidationFailed({ errors: [{ path: '/body/credentialTypeId', code: 'unknown-type', message }] })
}
