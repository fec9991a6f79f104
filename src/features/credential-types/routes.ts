import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { type AuditEvent, audited } from '../../audit/record.ts'
import { seen } from '../../auth/ownership.ts'
import { signedIn } from '../../auth/principal.ts'
import { answerCreated } from '../../http/idempotency.ts'
import { success } from '../../http/schemas.ts'
import { changeable } from './changeable.ts'
import { createType } from './create.ts'
import { deleteType } from './delete.ts'
import { newFields } from './fields.ts'
import { explainInUse } from './in-use.ts'
import * as repository from './repository.ts'
import * as schema from './schema.ts'
import { updateType } from './update.ts'

export const credentialTypeRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { services } = app
  const type = seen(repository.visibleType)

  app.get('', { schema: schema.listCredentialTypes, preHandler: signedIn }, async (request) => {
    const { page, pageSize, search } = request.query
    const offset = (page - 1) * pageSize
    const { rows, total } = await repository.listTypes(services.db, { search, limit: pageSize, offset })
    return { data: rows.map(toCredentialType), total, page, pageSize }
  })

  app.post('', { schema: schema.createCredentialType, preHandler: signedIn }, async (request, reply) => {
    const { userId } = signedIn.of(request)
    const fields = newFields(request.body.fields)
    return answerCreated(request, reply, (db) =>
      audited(
        request,
        async ({ db }) => {
          const row = await createType(db, userId, request.body, fields)
          const headers = { location: `/api/v1/credential-types/${row.id}` }
          return { result: { headers, body: toCredentialType(row) }, events: [eventOf('created', row)] }
        },
        db
      )
    )
  })

  app.get('/:id', { schema: schema.getCredentialType, preHandler: type }, async (request) =>
    toCredentialType(type.of(request))
  )

  app.put('/:id', { schema: schema.updateCredentialType, preHandler: changeable }, async (request) =>
    audited(request, async (services) => {
      const row = await updateType(services, changeable.of(request).id, request.body)
      return { result: toCredentialType(row), events: [eventOf('updated', row)] }
    }).catch((error) => explainInUse(services.db, changeable.of(request).id, error))
  )

  app.delete('/:id', { schema: schema.deleteCredentialType, preHandler: changeable }, async (request) => {
    const type = changeable.of(request)
    return audited(request, async (services) => {
      await deleteType(services, type.id)
      return { result: success, events: [eventOf('deleted', type)] }
    }).catch((error) => explainInUse(services.db, type.id, error))
  })
}

function eventOf(what: string, { id, type_name }: { id: string; type_name: string }): AuditEvent {
  return { action: `credential-type.${what}`, target: { type: 'credential-type', id, name: type_name } }
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

function toField(row: repository.FieldRow): Static<typeof schema.CredentialTypeField> {
  return {
    id: row.id,
    fieldName: row.field_name,
    fieldLabel: row.field_label,
    fieldType: row.field_type,
    required: row.required,
    secret: row.secret,
    ...(row.description !== null && { description: row.description }),
    ...(row.default_value !== null && { defaultValue: row.default_value }),
    ...(row.options !== null && { options: row.options }),
    ...(row.pattern !== null && { pattern: row.pattern }),
    position: row.position
  }
}
