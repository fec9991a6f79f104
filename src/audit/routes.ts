import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { administrator, isAdministrator, signedIn } from '../auth/principal.ts'
import { timeOf } from '../http/times.ts'
import { findHead } from './chain.ts'
import { type AuditFilter, listEvents } from './list-repository.ts'
import { toEvent } from './resource.ts'
import * as schema from './schema.ts'

export const auditRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services

  app.get('', { schema: schema.listAuditEvents, preHandler: signedIn }, async (request) => {
    const caller = signedIn.of(request)
    const { from, to, limit, ...filter } = request.query
    const times: AuditFilter = {}
    if (from !== undefined) times.from = timeOf(from, '/query/from')!
    if (to !== undefined) times.to = timeOf(to, '/query/to')!
    const viewer = isAdministrator(caller) ? undefined : caller.userId
    const { rows, cursor } = await listEvents(db, viewer, { ...filter, ...times }, limit)
    return { data: rows.map(toEvent), nextCursor: cursor }
  })

  app.get('/head', { schema: schema.getAuditHead, preHandler: administrator }, async () => {
    const { position, hash } = await findHead(db)
    return { position, hash: hash.toString('hex') }
  })
}
