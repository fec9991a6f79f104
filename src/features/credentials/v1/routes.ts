import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { audited, originOf, recordAndCommit } from '../../../audit/record.ts'
import { own, seen } from '../../../auth/ownership.ts'
import { signedIn } from '../../../auth/principal.ts'
import { likePattern } from '../../../db/like-pattern.ts'
import { answerCreated } from '../../../http/idempotency.ts'
import { NotFound } from '../../../http/problems.ts'
import { isUuid, success } from '../../../http/schemas.ts'
import { timeOf } from '../../../http/times.ts'
import { member, memberOrMachine } from '../../projects/membership.ts'
import { assignProjects } from '../assign.ts'
import { createCredential, type NewCredential } from '../create.ts'
import { eventOf, linkEvents } from '../events.ts'
import { applyKeys, defaultsOf, distinctIds } from '../input.ts'
import { unlink } from '../links.ts'
import { listProjectCredentials } from '../list-repository.ts'
import { explainInUse, removeCredential } from '../remove.ts'
import * as repository from '../repository.ts'
import { revealCredential } from '../reveal.ts'
import { etagOf, revisionsOf } from '../revision.ts'
import { updateCredential } from '../update.ts'
import { typeById } from '../which-type.ts'
import { CredentialTexts } from './credential-texts.ts'
import { itemsOf } from './items.ts'
import { ListTexts, lister } from './list-texts.ts'
import { sealedIn, storedAs, toCredential } from './resource.ts'
import * as schema from './schema.ts'

const credential = { seen: seen(repository.visibleCredential), own: own(repository.visibleHead) }
const projectReader = memberOrMachine('projectId')
const projectAdmin = member('admin', 'projectId')

export const credentialRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db, keyring } = app.services
  const texts = new CredentialTexts(db, keyring)
  const lists = new ListTexts(db)

  app.get('', { schema: schema.listAppCredentials, preHandler: lister }, async (request, reply) => {
    const { userId: ownerId, mark } = lister.of(request)
    const { credentialTypeId: typeId, search, page, pageSize } = request.query
    const pattern = search ? likePattern(search) : undefined
    return asJson(reply, await lists.of({ ownerId, typeId, pattern }, page, pageSize, mark))
  })

  app.post('', { schema: schema.createAppCredential, preHandler: signedIn }, async (request, reply) => {
    const { userId } = signedIn.of(request)
    const { keys, projectIds = [], expiresAt = null } = request.body
    const input: NewCredential = {
      name: request.body.credentialName,
      description: request.body.description ?? null,
      externalId: null,
      projectIds: distinctIds(projectIds, '/body/projectIds'),
      expiresAt: timeOf(expiresAt, '/body/expiresAt'),
      findType: typeById(request.body.credentialTypeId),
      valuesFor: ({ fields }) => new Map([['main', applyKeys(fields, defaultsOf(fields), keys)]])
    }
    return answerCreated(request, reply, async (trx) => {
      const { row, values } = await createCredential(
        { ...app.services, db: trx },
        userId,
        originOf(request),
        input
      )
      const headers = { location: `/api/v1/app-credentials/${row.id}`, etag: etagOf(row.revision) }
      return { headers, body: await toCredential(db, row, storedAs(values)) }
    })
  })

  app.get(
    '/:id',
    { schema: schema.getAppCredential, preHandler: credential.seen },
    async (request, reply) => {
      const row = credential.seen.of(request)
      reply.header('etag', etagOf(row.revision))
      return asJson(reply, await texts.of(row, reply.getSerializationFunction('200', 'application/json')!))
    }
  )

  app.put(
    '/:id',
    { schema: schema.updateAppCredential, preHandler: credential.own },
    async (request, reply) => {
      const { id, owner_id } = credential.own.of(request)
      const { credentialName: name, description, keys, projectIds, expiresAt } = request.body
      const update = {
        name,
        description,
        keys,
        projectIds: projectIds && distinctIds(projectIds, '/body/projectIds'),
        expiresAt: expiresAt === undefined ? undefined : timeOf(expiresAt, '/body/expiresAt')
      }
      const revisions = revisionsOf(request.headers['if-match'])
      // Opened before the commit: with a key that is not known here yet, all of it is done again.
      const updated = await audited(request, async (services) => {
        const { row, links } = await updateCredential(services, owner_id, id, revisions, update)
        const details = { revision: row.revision, changed: Object.keys(request.body) }
        const events = [eventOf('updated', row, { details }), ...linkEvents(row, links)]
        return { result: await toCredential(db, row, sealedIn(keyring, row)), events }
      })
      reply.header('etag', etagOf(updated.revision))
      return updated
    }
  )

  app.delete('/:id', { schema: schema.deleteAppCredential, preHandler: credential.own }, async (request) => {
    const row = credential.own.of(request)
    return audited(request, async ({ db }) => {
      await removeCredential(db, row.owner_id, row.id, revisionsOf(request.headers['if-match']))
      return { result: success, events: [eventOf('deleted', row)] }
    }).catch((error) => explainInUse(db, row.id, error))
  })

  app.post(
    '/:id/assign-projects',
    { schema: schema.assignProjects, preHandler: credential.own },
    async (request, reply) => {
      const row = credential.own.of(request)
      const projectIds = distinctIds(request.body.projectIds, '/body/projectIds')
      const revisions = revisionsOf(request.headers['if-match'])
      const { links, revision } = await audited(request, async ({ db }) => {
        const result = await assignProjects(db, row.owner_id, row.id, revisions, projectIds)
        return { result, events: linkEvents(row, result.changes) }
      })
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
    { schema: schema.listCredentialsByProject, preHandler: projectReader },
    async (request, reply) => {
      const { id, userId } = projectReader.of(request)
      return asJson(reply, await itemsOf(db, await listProjectCredentials(db, id, userId)))
    }
  )

  app.delete(
    '/by-project/:projectId/:id',
    { schema: schema.removeCredentialFromProject, preHandler: projectAdmin },
    async (request) => {
      const { id } = request.params
      const projectId = projectAdmin.of(request).id
      return audited(request, async ({ db }) => {
        const row = isUuid(id) ? await unlink(db, projectId, id) : undefined
        if (!row) throw new NotFound()
        return { result: success, events: [eventOf('unlinked', row, { projectId })] }
      })
    }
  )

  app.post(
    '/:id/reveal',
    { schema: schema.revealAppCredential, preHandler: credential.own },
    async (request) => {
      const row = credential.own.of(request)
      const { fieldIds, environment = 'main' } = request.body ?? {}
      const wanted = fieldIds && distinctIds(fieldIds, '/body/fieldIds')
      const { revealed, sealedRevision } = await revealCredential(app.services, row.owner_id, row.id, {
        fieldIds: wanted,
        environment
      })
      const fields = revealed.keys.map((key) => key.fieldName)
      const details = { environment, revision: revealed.revision, sealedRevision, fields }
      await recordAndCommit(db, originOf(request), [eventOf('revealed', row, { details })])
      return revealed
    }
  )
}

/** Sends what is JSON already; as the handler's answer, for whose type it stands. */
function asJson(reply: FastifyReply, json: string | Buffer): never {
  return reply.type('application/json; charset=utf-8').send(json) as never
}
