import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { audited, originOf, recordDenials } from '../../../audit/record.ts'
import { own } from '../../../auth/ownership.ts'
import type { Transaction } from '../../../db/database.ts'
import { guard } from '../../../http/guard.ts'
import { pageOf, requestedPage } from '../../../http/paging.ts'
import {
  EnvironmentNotConfigured,
  InsufficientScope,
  MainEnvironment,
  NewOwnerMayNotLink,
  NotFound,
  RevisionChanged,
  TooManyEnvironments
} from '../../../http/problems.ts'
import { isUuid, success } from '../../../http/schemas.ts'
import { changeCredential, lock } from '../change.ts'
import { eventOf } from '../events.ts'
import { applyValues, defaultsOf, MAX_ENVIRONMENTS } from '../input.ts'
import { changeableCredential, findInProject, visibleHead } from '../repositories/credential-repository.ts'
import * as usages from '../repositories/usage-repository.ts'
import { etagOf, targetOf } from '../revision.ts'
import { transferCredential } from '../transfer.ts'
import { valuesIn } from './body.ts'
import * as schema from './part-schema.ts'
import { toCredential } from './resource.ts'

const ownCredential = own(visibleHead)
const changeable = own(changeableCredential, () => ({ withValues: true }))

/** The environments, the transfer and the usages of a credential. */
export const credentialPartRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services

  app.put(
    '/:id/environments/:environment',
    { schema: schema.putEnvironment, preHandler: changeable },
    async (request, reply) => {
      const row = changeable.of(request)
      const target = { ...targetOf(request, row), row }
      const { environment } = request.params
      const inputs = valuesIn(request.body, { merges: request.method === 'PATCH' })
      const createsOnly = request.headers['if-none-match']?.trim() === '*'
      const changed = await changeCredential(request, target, {
        values: (fields, values) => {
          const previous = values.get(environment)
          if (previous && createsOnly)
            throw new RevisionChanged({ detail: 'The environment already exists.' })
          if (!previous && values.size >= MAX_ENVIRONMENTS) throw new TooManyEnvironments()
          values.set(environment, applyValues(fields, previous ?? defaultsOf(fields), inputs))
        },
        events: (row) => {
          const details = { environment, revision: row.revision, changed: ['keys'] }
          return [eventOf('updated', row, { details })]
        }
      })
      reply.header('etag', etagOf(changed.row.revision))
      return toCredential(changed)
    }
  )

  app.delete(
    '/:id/environments/:environment',
    { schema: schema.deleteEnvironment, preHandler: changeable },
    async (request) => {
      const row = changeable.of(request)
      const target = { ...targetOf(request, row), row }
      const { environment } = request.params
      if (environment === 'main') throw new MainEnvironment()
      await changeCredential(request, target, {
        values: (_fields, values) => {
          if (!values.delete(environment)) throw new EnvironmentNotConfigured()
        },
        events: (row) => [eventOf('updated', row, { details: { environment, changed: ['environments'] } })]
      })
      return success
    }
  )

  app.post(
    '/:id/transfer',
    { schema: schema.transferAppCredential, preHandler: ownCredential },
    async (request) => {
      const row = ownCredential.of(request)
      const { email } = request.body
      const transferred = audited(request, async ({ db }) => {
        const to = await transferCredential(db, targetOf(request, row), email)
        const details = { from: row.owner_id, to, email }
        // One event for each owner: an event is visible to one.
        const events = [row.owner_id, to].map((owner_id) =>
          eventOf('transferred', { ...row, owner_id }, { details })
        )
        return { result: success, events }
      })
      return transferred.catch(async (error) => {
        // If the credential is in no project, the response reveals that no user has the address.
        if (error instanceof NewOwnerMayNotLink) {
          const target = { type: 'credential', id: row.id } as const
          const details = { code: error.code, email }
          const denial = {
            action: 'transferAppCredential',
            target,
            projectId: null,
            details,
            ifExists: false
          }
          await recordDenials(db, originOf(request), [denial])
        }
        throw error
      })
    }
  )

  app.get('/:id/usages', { schema: schema.listUsages, preHandler: usageWriter }, async (request) => {
    const { id, projectId } = usageWriter.of(request)
    const requested = requestedPage(request, request.query)
    const filter = { credentialId: id, projectId: projectId ?? undefined }
    return pageOf(requested, await usages.listUsages(db, filter, requested), toUsage)
  })

  app.put('/:id/usages/:consumer', { schema: schema.putUsage, preHandler: usageWriter }, async (request) => {
    const { projectId, ...row } = usageWriter.of(request)
    const { consumer } = request.params
    return audited(request, async ({ db }) => {
      await lockOwn(db, row, projectId)
      const put = await usages.putUsage(db, { credentialId: row.id, consumer, projectId })
      const events = put.isNew ? [usageEvent('added', put.credential, projectId, consumer)] : []
      return { result: toUsage(put.usage), events }
    })
  })

  app.delete(
    '/:id/usages/:consumer',
    { schema: schema.deleteUsage, preHandler: usageWriter },
    async (request) => {
      const { projectId, ...row } = usageWriter.of(request)
      const { consumer } = request.params
      return audited(request, async ({ db }) => {
        await lockOwn(db, row, projectId)
        const credential = await usages.deleteUsage(db, row.id, consumer, projectId)
        return { result: success, events: [usageEvent('removed', credential, projectId, consumer)] }
      })
    }
  )
}

/**
 * Guard for the owner, and for tokens of a project that the credential is linked to. A token reads and writes
 * only the usages of its project.
 */
const usageWriter = guard(async (request) => {
  const { caller } = request
  if (caller?.type !== 'project-token') {
    await ownCredential(request)
    return { ...ownCredential.of(request), projectId: null }
  }
  if (!caller.scopes.includes('usages:write')) throw new InsufficientScope()
  const { id } = request.params as { id: string }
  const { db } = request.server.services
  const row = isUuid(id) ? await findInProject(db, caller.projectId, id) : undefined
  if (!row) throw new NotFound()
  return { ...row, projectId: caller.projectId }
})

/** Locks the credential of an owner, who may have lost it since the guard ran. */
async function lockOwn(
  trx: Transaction,
  { id, owner_id }: { id: string; owner_id: string },
  projectId: string | null
) {
  if (projectId === null) await lock(trx, { ownerId: owner_id, id, revisions: null })
}

function usageEvent(
  action: string,
  row: { id: string; name: string; owner_id: string },
  projectId: string | null,
  consumer: string
) {
  return { ...eventOf(action, row, { projectId, details: { consumer } }), action: `usage.${action}` }
}

function toUsage(row: usages.UsageRow): Static<typeof schema.Usage> {
  return { consumer: row.consumer, projectId: row.project_id, createdAt: row.created_at.toISOString() }
}
