import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { audited, recordSecretRead } from '../../../audit/record.ts'
import { own, seen } from '../../../auth/ownership.ts'
import { callerOf, signedIn, tokenOf } from '../../../auth/principal.ts'
import { requestedArray, setLinks } from '../../../http/array-paging.ts'
import { partsOf, sendArray } from '../../../http/array-stream.ts'
import { allOf } from '../../../http/faults.ts'
import { answerCreated } from '../../../http/idempotency.ts'
import { pageOf, requestedPage } from '../../../http/paging.ts'
import { NotFound } from '../../../http/problems.ts'
import { isUuid, success } from '../../../http/schemas.ts'
import { optionalTime } from '../../../http/times.ts'
import { patternOf } from '../../../names.ts'
import { lockMembership, member, memberOrProjectToken } from '../../projects/membership.ts'
import { changeCredential, lostCredential } from '../change.ts'
import { createCredential } from '../create.ts'
import { eventOf, linkEvents } from '../events.ts'
import { mapInUse, removeCredential } from '../remove.ts'
import {
  changeableCredential,
  findCredential,
  visibleCredential,
  visibleHead
} from '../repositories/credential-repository.ts'
import {
  type ItemRow,
  listProjectCredentials,
  listProjectCredentialsById
} from '../repositories/item-repository.ts'
import { listLinks, unlink } from '../repositories/link-repository.ts'
import { type ListFilter, listCredentialIds, listCredentials } from '../repositories/list-repository.ts'
import { findRevealable, revealable } from '../repositories/value-repository.ts'
import { revealValues } from '../reveal.ts'
import { etagOf, targetOf } from '../revision.ts'
import { fieldsOf, openShownValues } from '../shown-values.ts'
import {
  changedBy,
  changeOf,
  fieldsIn,
  hasValues,
  newCredentialOf,
  type RevealBody,
  requireProjects,
  type ValuesBody
} from './body.ts'
import { toCredential, toItem } from './resource.ts'
import { AppCredentialItem } from './resource-schema.ts'
import * as schema from './schema.ts'

const visible = seen(visibleCredential)
const owned = own(visibleHead)
const changeable = own(changeableCredential, ({ body }) => ({
  withValues: hasValues(body as ValuesBody)
}))
const projectReader = memberOrProjectToken('projectId')
const projectAdmin = member('admin', 'projectId')

const revealed = own(revealable, ({ body }) => ({
  environment: (body as RevealBody | undefined)?.environment ?? 'main'
}))

export const credentialRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db, keyring } = app.services

  const itemOf = async (row: ItemRow) =>
    toItem(row, { fields: await fieldsOf(db, row), filled: new Set(row.filled_fields) })

  app.get('', { schema: schema.listAppCredentials, preHandler: signedIn }, async (request) => {
    const { userId: ownerId } = signedIn.of(request)
    const [requested, filter] = allOf(
      () => requestedPage(request, request.query),
      () => filterOf(request.query)
    )
    const found = await listCredentials(db, ownerId, filter, requested)
    return pageOf(requested, { ...found, rows: await Promise.all(found.rows.map(itemOf)) }, (item) => item)
  })

  app.post('', { schema: schema.createAppCredential, preHandler: signedIn }, async (request, reply) => {
    const input = newCredentialOf(request.body, signedIn.of(request).userId)
    return answerCreated(request, reply, async (db) => {
      const created = await createCredential(request, db, input)
      const { id, revision } = created.row
      const headers = { location: `/api/v1/app-credentials/${id}`, etag: etagOf(revision) }
      return { headers, body: toCredential(created) }
    })
  })

  app.get('/:id', { schema: schema.getAppCredential, preHandler: visible }, async (request, reply) => {
    const { values, ...found } = visible.of(request)
    const row = values ? { ...found, values } : await findCredential(db, request.principal.userId, found.id)
    if (!row) throw new NotFound()
    const shown = openShownValues(keyring, await fieldsOf(db, row), row)
    reply.header('etag', etagOf(row.revision))
    return toCredential({ row, shown })
  })

  app.put('/:id', { schema: schema.updateAppCredential, preHandler: changeable }, async (request, reply) => {
    const row = changeable.of(request)
    const changed = await changeCredential(
      request,
      { ...targetOf(request, row), row },
      {
        ...changeOf(request.body, { merges: request.method === 'PATCH' }),
        events: (row, links) => {
          const details = { revision: row.revision, changed: changedBy(request.body) }
          return [eventOf('updated', row, { details }), ...linkEvents(row, links)]
        }
      }
    )
    reply.header('etag', etagOf(changed.row.revision))
    return toCredential(changed)
  })

  app.delete('/:id', { schema: schema.deleteAppCredential, preHandler: owned }, async (request) => {
    const row = owned.of(request)
    return audited(request, async ({ db }) => {
      await removeCredential(db, targetOf(request, row))
      return { result: success, events: [eventOf('deleted', row)] }
    }).catch((error) => mapInUse(db, row.id, error))
  })

  app.post(
    '/:id/assign-projects',
    { schema: schema.assignProjects, preHandler: changeable },
    async (request, reply) => {
      const row = changeable.of(request)
      const changed = await changeCredential(
        request,
        { ...targetOf(request, row), row },
        { projects: requireProjects(request.body), events: linkEvents }
      )
      reply.header('etag', etagOf(changed.row.revision))
      return (await listLinks(db, row.id)).map((link) => ({
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
      const { query } = request
      if (isWholeList(query)) {
        const rows = await listProjectCredentials(db, id, userId)
        if (rows) return Promise.all(rows.map(itemOf))
      }
      const requested = requestedArray(request, query, query.sort)
      const found = await listCredentialIds(db, { ofProjectId: id }, filterOf(query), requested)
      setLinks(reply, requested, found)
      const { kind: callerKind, id: callerTokenId } = tokenOf(callerOf(request))
      const reader = { projectId: id, viewer: userId, callerKind, callerTokenId }
      const serialize = reply.compileSerializationSchema(AppCredentialItem)
      return sendArray(
        reply,
        partsOf(found.rows),
        (ids) => listProjectCredentialsById(db, reader, ids),
        async (row) => serialize(await itemOf(row))
      )
    }
  )

  app.delete(
    '/by-project/:projectId/:id',
    { schema: schema.removeCredentialFromProject, preHandler: projectAdmin },
    async (request) => {
      const { id } = request.params
      const projectId = projectAdmin.of(request).id
      return audited(request, async ({ db }) => {
        await lockMembership(db, projectId, request.principal.userId, 'admin')
        const row = isUuid(id) ? await unlink(db, projectId, id) : undefined
        if (!row) throw new NotFound()
        return { result: success, events: [eventOf('unlinked', row, { projectId })] }
      })
    }
  )

  app.post('/:id/reveal', { schema: schema.revealAppCredential, preHandler: revealed }, async (request) => {
    const { environment = 'main' } = request.body ?? {}
    const wanted = fieldsIn(request.body ?? {})
    const { sealed, ...found } = revealed.of(request)
    const row = sealed
      ? { ...found, sealed }
      : await findRevealable(db, found.owner_id, found.id, environment)
    if (!row) throw await lostCredential(db, found.owner_id, found.id)
    const keys = revealValues(keyring, row, await fieldsOf(db, row), environment, wanted)
    const fields = keys.map((key) => key.fieldName)
    const details = { environment, revision: row.revision, sealedRevision: row.sealed_revision, fields }
    await recordSecretRead(request, [eventOf('revealed', row, { details })])
    return { id: row.id, revision: row.revision, environment, keys }
  })
}

/** True if the request has no filter, no paging parameter and the default order. */
function isWholeList({ sort, ...rest }: { sort: string }): boolean {
  return sort === '-createdAt' && Object.keys(rest).length === 0
}

/** The filters of a list of credentials. */
function filterOf(query: {
  credentialTypeId?: string
  projectId?: string
  search?: string
  expiresFrom?: string
  expiresBefore?: string
  updatedSince?: string
}): ListFilter {
  const [expiresFrom, expiresBefore, updatedSince] = allOf(
    () => optionalTime(query.expiresFrom, '/query/expiresFrom'),
    () => optionalTime(query.expiresBefore, '/query/expiresBefore'),
    () => optionalTime(query.updatedSince, '/query/updatedSince')
  )
  const { credentialTypeId: typeId, projectId } = query
  return { typeId, projectId, pattern: patternOf(query.search), expiresFrom, expiresBefore, updatedSince }
}
