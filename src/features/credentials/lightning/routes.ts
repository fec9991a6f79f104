import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { audited } from '../../../audit/record.ts'
import { signedIn } from '../../../auth/principal.ts'
import { partsOf, sendArray } from '../../../http/array-stream.ts'
import { answerProblem } from '../../../http/error-handler.ts'
import { guard } from '../../../http/guard.ts'
import { answerCreated } from '../../../http/idempotency.ts'
import { Forbidden, NotFound } from '../../../http/problems.ts'
import { isUuid } from '../../../http/schemas.ts'
import { foldName } from '../../../names.ts'
import { RAW_TYPE_ID } from '../../credential-types/catalogue.ts'
import { loadType } from '../../credential-types/type-cache.ts'
import { member, membershipOf } from '../../projects/membership.ts'
import { createCredential, typeByNameOrId } from '../create.ts'
import { eventOf } from '../events.ts'
import { mapInUse, removeCredential } from '../remove.ts'
import { lightningErrorHandler, lightningFormat } from './errors.ts'
import { type Body, readInput } from './input.ts'
import * as repository from './repository.ts'
import * as schema from './schema.ts'
import { bodyOf, replayedBody, valuesOf } from './values.ts'

const PATHS = /^\/+api\/+(credentials(\/+[^/?]+)?|projects\/+[^/?]+\/+credentials)\/*(?=\?|$)/

/** Removes empty segments from the path of these routes, as Lightning does: `/api/credentials/`. */
export function withoutEmptySegments(url: string): string {
  return url.replace(PATHS, (path) => `/${path.split('/').filter(Boolean).join('/')}`)
}

/** Answers a request that no route takes, in Lightning's format if the path begins as one of these routes. */
export function answerUnrouted(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const isLightning = /^\/+api\/+(credentials|projects)([/?]|$)/.test(request.url)
  return answerProblem(error, request, reply, isLightning ? lightningFormat : undefined)
}

const projectMember = member('viewer')

/** Guard for members of the project in the query. Its result is undefined if the query names none. */
const queriedProject = guard(async (request: FastifyRequest) => {
  const { project_id } = request.query as { project_id?: unknown }
  if (project_id === undefined) return undefined
  return membershipOf(request, typeof project_id === 'string' ? project_id : '', 'viewer')
})

/**
 * Guard for the owner of the credential in the path. As in Lightning, the credential of another user is a 403
 * and not a 404.
 */
const ownCredential = guard(async (request: FastifyRequest) => {
  const { id } = request.params as { id: string }
  const row = isUuid(id) ? await repository.findHead(request.server.services.db, id) : undefined
  if (!row) throw new NotFound()
  if (row.owner_id !== request.principal.userId) throw new Forbidden()
  return row
})

/** OpenFn Lightning's credential API for the same data, with Lightning's formats and errors. */
export const lightningRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services
  app.setErrorHandler(lightningErrorHandler)
  // The schemas are for the document only: `input.ts` validates requests, with Lightning's messages.
  app.setValidatorCompiler(() => () => true)

  app.get(
    '/credentials',
    { schema: schema.lightningListCredentials, preHandler: queriedProject },
    async (request, reply) => {
      const project = queriedProject.of(request)
      return answerList(await repository.list(db, request.principal.userId, project?.id), reply)
    }
  )

  app.get(
    '/projects/:id/credentials',
    { schema: schema.lightningListProjectCredentials, preHandler: projectMember },
    async (request, reply) => {
      const { id } = projectMember.of(request)
      return answerList(await repository.list(db, request.principal.userId, id), reply)
    }
  )

  app.post(
    '/credentials',
    { schema: schema.lightningCreateCredential, preHandler: signedIn },
    async (request, reply) => {
      const { userId } = signedIn.of(request)
      const input = readInput(request.body)
      const findType = typeByNameOrId(input.schema, userId, RAW_TYPE_ID)
      let body: Body | undefined
      const { typeId, ...credential } = await answerCreated(request, reply, (db) =>
        app.inCallerTransaction(
          request,
          async (trx) => {
            const { row } = await createCredential(request, trx, {
              name: input.name,
              description: null,
              externalId: input.externalId,
              projects: { refs: input.projectIds, pathOf: () => '/body/project_credentials' },
              expiresAt: null,
              findType,
              lightningSchema: ({ id }) => (id === RAW_TYPE_ID && !isRaw(input.schema) ? input.schema : null),
              valuesFor: (type) => {
                const values = valuesOf(type, input.bodies)
                body = bodyOf(type, values)
                return values
              }
            }).catch(hideProjects)
            const created = toCredential((await repository.findOwn(trx, userId, row.id))!)
            return { body: { ...created, typeId: row.type_id } }
          },
          { db }
        )
      )
      // An answer that is stored for a retry does not contain the values, so they are from the request.
      body ??= replayedBody(await loadType(db, typeId), input.bodies)
      return { credential: { ...credential, body }, errors: {} }
    }
  )

  app.delete(
    '/credentials/:id',
    { schema: schema.lightningDeleteCredential, preHandler: ownCredential },
    async (request, reply) => {
      const row = ownCredential.of(request)
      await audited(request, async ({ db }) => {
        await removeCredential(db, { ownerId: row.owner_id, id: row.id, revisions: null })
        return { result: undefined, events: [eventOf('deleted', row)] }
      }).catch((error) => mapInUse(db, row.id, error))
      return reply.code(204).send()
    }
  )
}

async function answerList(
  { listed, read }: repository.List,
  reply: FastifyReply
): Promise<Static<typeof schema.CredentialList> | FastifyReply> {
  const parts = partsOf(listed)
  if (parts.length <= 1) return { credentials: (await read(parts[0] ?? [])).map(toCredential), errors: {} }
  const serialize = reply.compileSerializationSchema(schema.Credential)
  return sendArray(reply, parts, read, (row) => serialize(toCredential(row)), [
    '{"credentials":[',
    '],"errors":{}}'
  ])
}

const isRaw = (schema: string) => foldName(schema) === 'raw'

// Lightning does not distinguish an unknown project from one that the caller may not use.
function hideProjects(error: unknown): never {
  throw error instanceof NotFound ? new Forbidden() : error
}

function toCredential(row: repository.LightningRow): Static<typeof schema.Credential> {
  return {
    id: row.id,
    name: row.name,
    schema: row.lightning_schema ?? row.type_name,
    external_id: row.external_id,
    user_id: row.owner_id,
    project_credentials: row.links.map((link) => ({
      id: link.id,
      project_id: link.projectId,
      credential_id: row.id,
      inserted_at: withoutMilliseconds(new Date(link.createdAt)),
      // Links are never updated.
      updated_at: withoutMilliseconds(new Date(link.createdAt))
    })),
    projects: row.links.map(({ projectId, name, description }) => ({ id: projectId, name, description })),
    inserted_at: withoutMilliseconds(row.created_at),
    updated_at: withoutMilliseconds(row.updated_at)
  }
}

const withoutMilliseconds = (time: Date) => time.toISOString().replace(/\.\d{3}Z$/, 'Z')
