import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { callerOf, tokenOf } from '../../../auth/principal.ts'
import { requestedArray, setLinks } from '../../../http/array-paging.ts'
import { partsOf, sendArray } from '../../../http/array-stream.ts'
import { guard } from '../../../http/guard.ts'
import { patternOf } from '../../../names.ts'
import { member, membershipOf } from '../../projects/membership.ts'
import { listCredentialIds } from '../repositories/list-repository.ts'
import { lightningErrorHandler } from './errors.ts'
import { listById } from './repository.ts'
import { toCredential } from './resource.ts'
import * as schema from './schema.ts'

const projectMember = member('viewer')

/** Guard for members of the project in the query. Its result is undefined if the query has none. */
const queriedProject = guard(async (request: FastifyRequest) => {
  const { project_id } = request.query as { project_id?: unknown }
  if (project_id === undefined) return undefined
  return membershipOf(request, typeof project_id === 'string' ? project_id : '', 'viewer')
})

/**
 * The lists of OpenFn Lightning's credential API. Their query strings are validated as those of `/api/v1`.
 */
export const lightningListRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services
  app.setErrorHandler(lightningErrorHandler)

  app.get(
    '/credentials',
    { schema: schema.lightningListCredentials, preHandler: queriedProject },
    async (request, reply) => answerList(request, request.query, reply, queriedProject.of(request)?.id)
  )

  app.get(
    '/projects/:id/credentials',
    { schema: schema.lightningListProjectCredentials, preHandler: projectMember },
    async (request, reply) => answerList(request, request.query, reply, projectMember.of(request).id)
  )

  async function answerList(
    request: FastifyRequest,
    query: Static<typeof schema.ListQuery>,
    reply: FastifyReply,
    projectId: string | undefined
  ): Promise<Static<typeof schema.CredentialList> | FastifyReply> {
    const { userId } = request.principal
    const requested = requestedArray(request, knownOf(query), 'name')
    const scope = projectId === undefined ? { ownerId: userId } : { ofProjectId: projectId }
    const found = await listCredentialIds(db, scope, { pattern: patternOf(query.search) }, requested)
    setLinks(reply, requested, found)
    const parts = partsOf(found.rows)
    const { kind: callerKind, id: callerTokenId } = tokenOf(callerOf(request))
    const viewer = { viewer: userId, projectId, callerKind, callerTokenId }
    const read = (ids: readonly string[]) => listById(db, viewer, ids)
    if (parts.length <= 1) return { credentials: (await read(parts[0] ?? [])).map(toCredential), errors: {} }
    const serialize = reply.compileSerializationSchema(schema.Credential)
    return sendArray(reply, parts, read, (row) => serialize(toCredential(row)), [
      '{"credentials":[',
      '],"errors":{}}'
    ])
  }
}

const KNOWN = Object.keys(schema.ListQuery.properties)

/** Returns the known parameters. Unknown ones are ignored and do not appear in links. */
function knownOf(query: Static<typeof schema.ListQuery>): Static<typeof schema.ListQuery> {
  return Object.fromEntries(Object.entries(query).filter(([name]) => KNOWN.includes(name)))
}
