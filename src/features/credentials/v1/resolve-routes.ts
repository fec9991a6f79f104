import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { originOf, recordDenials, recordSecretRead } from '../../../audit/record.ts'
import { preloaded } from '../../../auth/preload.ts'
import { allOf } from '../../../http/faults.ts'
import { guard } from '../../../http/guard.ts'
import { MAX_ERRORS } from '../../../http/problem.ts'
import {
  AmbiguousName,
  DecryptionFailedProblem,
  EnvironmentNotConfigured,
  Expired,
  Forbidden,
  InsufficientScope,
  NotFound,
  type Problem,
  type ProblemClass,
  ValidationFailed
} from '../../../http/problems.ts'
import { isUuid } from '../../../http/schemas.ts'
import { foldName } from '../../../names.ts'
import { eventOf } from '../events.ts'
import { linkedById } from '../repositories/value-repository.ts'
import { idsOf, type RefusalCode, type ResolveItem, type Result, resolveCredentials } from '../resolve.ts'
import * as schema from './resolve-schema.ts'

const linked = preloaded(linkedById, ({ body }) => {
  const { credentials, environment = 'main' } = body as Static<typeof schema.ResolveRequest>
  const ids = idsOf(credentials)
  return ids && { ids, environment }
})

/** Guard for tokens of the project in the path. */
const tokenOfProject = Object.assign(
  guard((request) => {
    const { caller } = request
    const { id } = request.params as { id: string }
    if (caller?.type !== 'project-token') {
      const detail = 'Only a token of the project can do this: create one with the scope credentials:resolve.'
      throw new InsufficientScope({ detail })
    }
    if (!isUuid(id)) throw new NotFound()
    if (caller.projectId !== id.toLowerCase())
      throw new Forbidden({ detail: 'The token belongs to another project.' })
    return caller
  }),
  { preload: linked.preload }
)

/** Enough for a hundred names of two hundred escaped characters. */
const MAX_BODY = 256 * 1024

export const resolveRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services

  const options = { schema: schema.resolveCredentials, preHandler: tokenOfProject, bodyLimit: MAX_BODY }
  app.post('/:id/resolve', options, async (request) => {
    const { projectId } = tokenOfProject.of(request)
    const { credentials, environment = 'main', onError } = request.body
    const items = allOf(...credentials.map((one, index) => () => toItem(one, index)))
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
      // Recorded only if the credential exists, for its owner. Without the project, whose admins must not
      // learn that it exists.
      ...results.flatMap((one) =>
        one.status === 'failed' && one.error.code === 'not-found' && 'id' in one
          ? [{ ...refusal(one.id.toLowerCase(), 'not-found', null), ifExists: true }]
          : []
      )
    ])
    const problem = onError === 'fail' ? problemOf(results) : undefined
    if (problem) throw problem
    await recordSecretRead(
      request,
      handedOut.map((row) => {
        const details = { environment, revision: row.revision, sealedRevision: row.sealed_revision }
        return eventOf('resolved', row, { projectId, details })
      })
    )
    return { results }
  })
}

const PROBLEMS: Record<RefusalCode, ProblemClass> = {
  'not-found': NotFound,
  'environment-not-configured': EnvironmentNotConfigured,
  'ambiguous-name': AmbiguousName,
  expired: Expired,
  'decryption-failed': DecryptionFailedProblem
}

/**
 * Returns the problem with the highest status of the failed credentials, or undefined if none failed. Clients
 * that interpret 404 as "deleted" get it only if all failures are 404.
 */
function problemOf(results: readonly Result[]): Problem | undefined {
  const failures = results.flatMap((one, index) => (one.status === 'failed' ? [{ ...one.error, index }] : []))
  const errors = failures.slice(0, MAX_ERRORS).map(({ code, detail: message, index }) => ({
    path: `/body/credentials/${index}`,
    code,
    message
  }))
  const problems = failures.map(({ code, detail }) => new PROBLEMS[code]({ detail, errors }))
  return problems.reduce<Problem | undefined>(
    (highest, one) => (highest && highest.status >= one.status ? highest : one),
    undefined
  )
}

function toItem({ id, name }: { id?: string; name?: string }, index: number): ResolveItem {
  if (id !== undefined && name === undefined) return { id }
  if (name !== undefined && id === undefined) return { name }
  const message = 'Send id or name, not both.'
  throw new ValidationFailed({ errors: [{ path: `/body/credentials/${index}`, code: 'one-of', message }] })
}

function requireDistinct(items: readonly ResolveItem[]): void {
  const keys = items.map((one) => ('id' in one ? one.id.toLowerCase() : `name ${foldName(one.name)}`))
  const index = keys.findIndex((key, at) => keys.indexOf(key) !== at)
  if (index < 0) return
  const message = 'The entries must be unique.'
  throw new ValidationFailed({ errors: [{ path: `/body/credentials/${index}`, code: 'repeated', message }] })
}

function refusal(id: string, code: string, projectId: string | null) {
  const target = { type: 'credential', id } as const
  return { action: 'resolveCredentials', target, projectId, details: { code }, ifExists: false }
}
