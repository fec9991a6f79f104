import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { administrator, isAdministrator, signedIn } from '../auth/principal.ts'
import { allOf } from '../http/faults.ts'
import { requestedPage } from '../http/paging.ts'
import { optionalTime } from '../http/times.ts'
import { findHead } from './chain.ts'
import { listEvents } from './list-repository.ts'
import { toEvent } from './resource.ts'
import * as schema from './schema.ts'

export const auditRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db } = app.services

  app.get('', { schema: schema.listAuditEvents, preHandler: signedIn }, async (request) => {
    const caller = signedIn.of(request)
    const { limit, ...query } = request.query
    const { since, until, from, to, pageSize: _size, cursor: _cursor, ...filter } = query
    const [requested, sinceTime, untilTime] = allOf(
      () => requestedPage(request, { ...query, pageSize: limit ?? query.pageSize, sort: '-id' }),
      () => optionalTime(since, '/query/since') ?? optionalTime(from, '/query/from'),
      () => optionalTime(until, '/query/until') ?? optionalTime(to, '/query/to')
    )
    const viewer = isAdministrator(caller) ? undefined : caller.userId
    const { rows, below } = await listEvents(
      db,
      viewer,
      { ...filter, since: sinceTime, until: untilTime, below: requested.after?.id },
      requested.limit
    )
    return { data: rows.map(toEvent), nextCursor: below && requested.cursorOf({ key: '', id: below }) }
  })

  app.get('/head', { schema: schema.getAuditHead, preHandler: administrator }, async () => {
    const { position, hash } = await findHead(db)
    return { position, hash: hash.toString('hex') }
  })
}
