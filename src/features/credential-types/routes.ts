import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { created } from '../../audit/created.ts'
import { type AuditEvent, audited } from '../../audit/record.ts'
import { seen } from '../../auth/ownership.ts'
import { isAdministrator, signedIn } from '../../auth/principal.ts'
import { guard } from '../../http/guard.ts'
import { pageOf, requestedNamedPage } from '../../http/paging.ts'
import { Forbidden, NotFound } from '../../http/problems.ts'
import { isUuid, success } from '../../http/schemas.ts'
import { JsonText } from '../../json.ts'
import type { CredentialTypeField } from './field-schema.ts'
import { newFields } from './fields.ts'
import * as repository from './repository.ts'
import * as schema from './schema.ts'
import { createType, deleteType, mapTypeInUse, updateType } from './service.ts'

/** The type in the path, for its owner and for administrators with a session. Not for built-in types. */
const typeOwnerOrAdmin = guard(async (request) => {
  const { id } = request.params as { id: string }
  const type = isUuid(id) ? await repository.findTypeHead(request.server.services.db, id) : undefined
  if (!type) throw new NotFound()
  if (type.owner_id === null) throw new Forbidden({ detail: 'Built-in types cannot be changed.' })
  if (type.owner_id !== request.principal.userId && !isAdministrator(request.principal))
    throw new Forbidden({ detail: 'Only the owner or an administrator can do this.' })
  return type
})

export const credentialTypeRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services
  const type = seen(repository.visibleType)

  app.get('', { schema: schema.listCredentialTypes, preHandler: signedIn }, async (request) => {
    const [requested, filter] = requestedNamedPage(request, request.query)
    return pageOf(requested, await repository.listTypes(db, filter, requested), toCredentialType)
  })

  app.post('', { schema: schema.createCredentialType, preHandler: signedIn }, async (request, reply) => {
    const { userId } = signedIn.of(request)
    const fields = newFields(request.body.fields)
    return created(request, reply, async ({ db }) => {
      const row = await createType(db, userId, request.body, fields)
      return {
        headers: { location: `/api/v1/credential-types/${row.id}` },
        body: toCredentialType(row),
        events: [eventOf('credential-type.created', row)]
      }
    })
  })

  app.get('/:id', { schema: schema.getCredentialType, preHandler: type }, async (request) =>
    toCredentialType(type.of(request))
  )

  app.put('/:id', { schema: schema.updateCredentialType, preHandler: typeOwnerOrAdmin }, async (request) => {
    const { id } = typeOwnerOrAdmin.of(request)
    return audited(request, async ({ db }) => {
      const row = await updateType(db, request.principal.userId, id, request.body)
      return { result: toCredentialType(row), events: [eventOf('credential-type.updated', row)] }
    }).catch((error) => mapTypeInUse(db, id, error))
  })

  app.delete(
    '/:id',
    { schema: schema.deleteCredentialType, preHandler: typeOwnerOrAdmin },
    async (request) => {
      const type = typeOwnerOrAdmin.of(request)
      return audited(request, async ({ db }) => {
        await deleteType(db, type.id)
        return { result: success, events: [eventOf('credential-type.deleted', type)] }
      }).catch((error) => mapTypeInUse(db, type.id, error))
    }
  )
}

function eventOf(action: string, { id, type_name }: { id: string; type_name: string }): AuditEvent {
  return { action, target: { type: 'credential-type', id, name: type_name } }
}

function toCredentialType(row: repository.TypeRow): Static<typeof schema.CredentialType> {
  return {
    id: row.id,
    typeName: row.type_name,
    description: row.description,
    builtIn: row.owner_id === null,
    ownerId: row.owner_id,
    usageCount: row.usage_count,
    fields: row.fields.map(toField),
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString()
  }
}

function toField(row: repository.FieldRow): Static<typeof CredentialTypeField> {
  return {
    id: row.id,
    fieldName: row.field_name,
    fieldLabel: row.field_label,
    fieldType: row.field_type,
    required: row.required,
    secret: row.secret,
    ...(row.description !== null && { description: row.description }),
    ...(row.default_value !== null && { defaultValue: new JsonText(row.default_value) }),
    ...(row.options !== null && { options: row.options }),
    ...(row.pattern !== null && { pattern: row.pattern }),
    ...(row.constraints !== null && { constraints: row.constraints }),
    position: row.position
  }
}
