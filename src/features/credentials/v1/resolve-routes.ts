import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { originOf, recordAndCommit, recordDenials } from '../../../audit/record.ts'
import { preloaded } from '../../../auth/preload.ts'
import { guard } from '../../../http/guard.ts'
import { Forbidden, InsufficientScope, NotFound, ValidationFailed } from '../../../http/problems.ts'
import { isUuid } from '../../../http/schemas.ts'
import { eventOf } from '../events.ts'
import { linkedById } from '../repositories/value-repository.ts'
import { idsOf, type ResolveItem, resolveCredentials } from '../resolve.ts'
import * as schema from './resolve-schema.ts'

const linked = preloaded(linkedById, ({ body }) => {
  const { credentials, environment = 'main' } = body as Static<typeof schema.ResolveRequest>
  const ids = idsOf(credentials)
  return ids && { ids, environment }
})

/** A guard for machines of the project in the path. People reveal what is theirs instead. */
const machine = Object.assign(
  guard((request) => {
    const { caller } = request
    const { id } = request.params as { id: string }
    if (caller?.type !== 'project-token') throw new InsufficientScope()
    if (!isUuid(id)) throw new NotFound()
    if (caller.projectId !== id.toLowerCase())
      throw new Forbidden({ detail: 'The token is of another project.' })
    return caller
  }),
  { preload: linked.preload }
)

/** Room for a hundred names of two hundred characters, each of them escaped. */
const MAX_BODY = 256 * 1024

export const resolveRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services

  const options = { schema: schema.resolveCredentials, preHandler: machine, bodyLimit: MAX_BODY }
  app.post('/:id/resolve', options, async (request) => {
    const { projectId } = machine.of(request)
    const { credentials, environment = 'main' } = request.body
    const items = credentials.map(oneOf)
    requireDistinct(items)
    const { results, handedOut, undecryptable } = await resolveCredentials(
      app.services,
      projectId,
      items,
      environment,
      await linked.rowsOf(request)
    )
    const origin = originOf(request)
    if (undecryptable.length > 0)
      app.metrics.decryptionFailures.inc({ where: 'request' }, undecryptable.length)
    await recordDenials(db, origin, [
      ...undecryptable.map((row) => refusal(row.id, 'decryption-failed', projectId)),
      // Recorded only for credentials that exist, and without the project, whose admins must not learn from
      // the log that they do. Their owners may.
      ...results.flatMap((one) =>
        'error' in one && one.error.code === 'not-found' && 'id' in one
          ? [{ ...refusal(one.id.toLowerCase(), 'not-found', null), ifExists: true }]
          : []
      )
    ])
    await recordAndCommit(
      db,
      origin,
      handedOut.map((row) => {
        const details = { environment, revision: row.revision, sealedRevision: row.sealed_revision }
        return eventOf('resolved', row, { projectId, details })
      })
    )
    return { results }
  })
}

function oneOf({ id, name }: { id?: string; name?: string }, index: number): ResolveItem {
  if (id !== undefined && name === undefined) return { id }
  if (name !== undefined && id === undefined) return { name }
  const message = 'This takes either an id or a name.'
  throw new ValidationFailed({ errors: [{ path: `/body/credentials/${index}`, code: 'one-of', message }] })
}

function requireDistinct(items: readonly ResolveItem[]): void {
  const keys = items.map((one) => ('id' in one ? one.id : `name ${one.name}`).toLowerCase())
  const index = keys.findIndex((key, at) => keys.indexOf(key) !== at)
  if (index < 0) return
  const message = 'An entry is there twice.'
  throw new ValidationFailed({ errors: [{ path: `/body/credentials/${index}`, code: 'repeated', message }] })
}

function refusal(id: string, code: string, projectId: string | null) {
  const target = { type: 'credential', id } as const
  return { action: 'resolveCredentials', target, projectId, details: { code }, ifExists: false }
}
