import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { audited } from '../../../audit/record.ts'
import { signedIn } from '../../../auth/principal.ts'
import { answerProblem } from '../../../http/error-handler.ts'
import { guard } from '../../../http/guard.ts'
import { answerCreated } from '../../../http/idempotency.ts'
import { Forbidden, NotFound } from '../../../http/problems.ts'
import { isUuid } from '../../../http/schemas.ts'
import { foldName } from '../../../names.ts'
import { RAW_TYPE_ID } from '../../credential-types/catalogue.ts'
import { loadType } from '../../credential-types/type-cache.ts'
import { createCredential, typeByNameOrId } from '../create.ts'
import { eventOf } from '../events.ts'
import { mapInUse, removeCredential } from '../remove.ts'
import { lightningErrorHandler, lightningFormat } from './errors.ts'
import { type Body, readInput } from './input.ts'
import * as repository from './repository.ts'
import { toCredential } from './resource.ts'
import * as schema from './schema.ts'
import { bodyOf, replayedBody, valuesOf } from './values.ts'

const PATHS = /^\/+api\/+(credentials(\/+[^/?]+)?|projects\/+[^/?]+\/+credentials)\/*(?=\?|$)/

/** Removes empty segments from the path of these routes, as Lightning does: `/api/credentials/`. */
export function withoutEmptySegments(url: string): string {
  return url.replace(PATHS, (path) => `/${path.split('/').filter(Boolean).join('/')}`)
}

/**
 * Responds to a request that matches no route, in Lightning's format if the path begins like these routes.
 */
export function answerUnrouted(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const isLightning = /^\/+api\/+(credentials|projects)([/?]|$)/.test(request.url)
  return answerProblem(error, request, reply, isLightning ? lightningFormat : undefined)
}

/**
 * Guard for the owner of the credential in the path. As in Lightning, the credential of another user returns
 * 403 and not 404.
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
      // The stored response of a retry does not contain the values, so they are taken from the request.
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

const isRaw = (schema: string) => foldName(schema) === 'raw'

// Lightning does not distinguish an unknown project from one that the caller may not use.
function hideProjects(error: unknown): never {
  throw error instanceof NotFound ? new Forbidden() : error
}
