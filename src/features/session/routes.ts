import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Static } from '@sinclair/typebox'
import { type AuditEvent, audited, originOf } from '../../audit/record.ts'
import { isCrossSite } from '../../auth/cross-site.ts'
import { cookieName } from '../../auth/presented-token.ts'
import { sessionOnly } from '../../auth/principal.ts'
import { open } from '../../http/guard.ts'
import { pageOf, requestedPage } from '../../http/paging.ts'
import { CrossSiteRequest, NotFound } from '../../http/problems.ts'
import { isUuid, success } from '../../http/schemas.ts'
import { changePassword } from './change-password.ts'
import * as repository from './repository.ts'
import * as schema from './schema.ts'
import { signIn } from './sign-in.ts'

/** Enough for an e-mail address and a password whose characters are all escaped, in bytes. */
const MAX_SIGN_IN_BODY = 4 * 1024

/** Sign-in, which needs no session. */
export const signInRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { config } = app.services

  const options = { schema: schema.createSession, preHandler: open, bodyLimit: MAX_SIGN_IN_BODY }
  app.post('/session', options, async (request, reply) => {
    // Another site must not sign a user in to a different account.
    if (isCrossSite(request, config)) throw new CrossSiteRequest()
    const { user, session, token } = await signIn(app.services, request.body, originOf(request))
    reply.setCookie(cookieName(config.publicOrigin), token, cookieOptions(config.publicOrigin))
    return { user: toUser(user), session: toSession(session) }
  })
}

export const sessionRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { db, config } = app.services

  app.get('/session', { schema: schema.getSession, preHandler: sessionOnly }, async (request) => {
    const caller = sessionOnly.of(request)
    return {
      user: toUser({ ...caller, id: caller.userId }),
      session: toSession({
        id: caller.sessionId,
        created_at: caller.createdAt,
        last_seen_at: caller.lastSeenAt,
        expires_at: caller.expiresAt
      })
    }
  })

  app.delete(
    '/session',
    { schema: schema.deleteSession, preHandler: sessionOnly },
    async (request, reply) => {
      const { userId, sessionId } = sessionOnly.of(request)
      await audited(
        request,
        async ({ db }) => {
          await repository.deleteSession(db, userId, sessionId)
          return { result: undefined, events: [sessionEnded(sessionId)] }
        },
        { userLock: 'update' }
      )
      reply.clearCookie(cookieName(config.publicOrigin), cookieOptions(config.publicOrigin))
      return success
    }
  )

  app.get('/sessions', { schema: schema.listSessions, preHandler: sessionOnly }, async (request) => {
    const { userId, sessionId } = sessionOnly.of(request)
    const requested = requestedPage(request, request.query)
    const filter = { userId, idleMinutes: config.sessionIdleMinutes }
    return pageOf(requested, await repository.listLiveSessions(db, filter, requested), (row) => ({
      ...toSession(row),
      ip: row.ip,
      userAgent: row.user_agent,
      current: row.id === sessionId
    }))
  })

  app.delete('/sessions/:id', { schema: schema.endSession, preHandler: sessionOnly }, async (request) => {
    const { id } = request.params
    return audited(
      request,
      async ({ db }) => {
        const ended = isUuid(id) && (await repository.deleteSession(db, sessionOnly.of(request).userId, id))
        if (!ended) throw new NotFound()
        return { result: success, events: [sessionEnded(id)] }
      },
      { userLock: 'update' }
    )
  })

  app.put(
    '/users/me/password',
    { schema: schema.changePassword, preHandler: sessionOnly },
    async (request) => {
      const caller = sessionOnly.of(request)
      await changePassword(request, caller, request.body)
      return success
    }
  )
}

const sessionEnded = (id: string): AuditEvent => ({
  action: 'session.ended',
  target: { type: 'session', id }
})

/**
 * RFC 6265bis: hidden from scripts, not sent by other sites' forms. A browser session cookie, without expiry.
 */
function cookieOptions(publicOrigin: string | undefined) {
  return {
    path: '/',
    httpOnly: true,
    sameSite: 'lax',
    secure: publicOrigin?.startsWith('https:') ?? false
  } as const
}

function toUser({ id, email, name, role }: Static<typeof schema.SignedInUser>) {
  return { id, email, name, role }
}

function toSession(row: {
  id: string
  created_at: Date
  last_seen_at: Date
  expires_at: Date
}): Static<typeof schema.Session> {
  return {
    id: row.id,
    createdAt: row.created_at.toISOString(),
    lastSeenAt: row.last_seen_at.toISOString(),
    expiresAt: row.expires_at.toISOString()
  }
}
