import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { type Expression, sql } from 'kysely'
import { hashToken } from '../crypto/tokens.ts'
import { type Params, prepared } from '../db/statement.ts'
import type { UserRole } from '../db/tables.ts'
import { CrossSiteRequest, Forbidden, Unauthenticated } from '../errors.ts'
import { guard } from './guards.ts'
import { fromElsewhere } from './same-site.ts'

/** Who is calling. */
export interface Principal {
  readonly type: 'session'
  readonly sessionId: string
  readonly userId: string
  readonly email: string
  readonly name: string
  readonly role: UserRole
  readonly createdAt: Date
  readonly lastSeenAt: Date
  readonly expiresAt: Date
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Throws Unauthenticated where `authenticate` has not let the request in. */
    readonly principal: Principal
    /** The same, or null where nobody was asked for or found; for logs. */
    caller: Principal | null
  }
}

const TOKEN = /^[A-Za-z0-9_-]{43}$/

/** The session cookie's name: with https the prefix makes browsers refuse weaker settings (RFC 6265bis). */
export function cookieName(publicOrigin: string | undefined): string {
  return publicOrigin?.startsWith('https:') ? '__Host-latchkey_session' : 'latchkey_session'
}

const findSession = prepared((db, p: Params<{ tokenHash: Buffer; idleMinutes: number }>) =>
  db
    .selectFrom('sessions as s')
    .innerJoin('users as u', 'u.id', 's.user_id')
    .where('s.token_hash', '=', p.tokenHash)
    .select([
      's.id',
      's.user_id',
      's.created_at',
      's.last_seen_at',
      's.expires_at',
      'u.email',
      'u.name',
      'u.role'
    ])
    .select([
      sql<boolean>`s.expires_at > now() and s.last_seen_at > now() - make_interval(mins => ${p.idleMinutes}::int)
        and u.disabled_at is null`.as('live'),
      sql<boolean>`s.last_seen_at < ${freshSince(p.idleMinutes)}`.as('stale')
    ])
)

/** Use is written once a minute, and often enough for a shorter idle time to slide. */
function freshSince(idleMinutes: Expression<number> | number) {
  return sql<Date>`now() - least(interval '1 minute', make_interval(mins => ${idleMinutes}::int) / 4)`
}

/** Finds who calls, before anything of the request is read; refuses with 401 whoever is nobody. */
export const authentication = fp(
  async (app) => {
    const { db, config } = app.services
    const cookie = cookieName(config.publicOrigin)

    app.decorateRequest('caller', null)
    app.decorateRequest('principal', {
      getter(this: FastifyRequest) {
        if (!this.caller) throw new Unauthenticated()
        return this.caller
      }
    })

    async function bySession(request: FastifyRequest): Promise<Principal> {
      const token = request.cookies[cookie]
      if (!token || !TOKEN.test(token)) throw new Unauthenticated()
      const [row] = await findSession(db, {
        tokenHash: hashToken(token),
        idleMinutes: config.sessionIdleMinutes
      })
      if (!row) throw new Unauthenticated()
      if (!row.live) {
        // Gone for good, so that a clock that jumps back revives nothing.
        await db.deleteFrom('sessions').where('id', '=', row.id).execute()
        throw new Unauthenticated()
      }
      if (fromElsewhere(request, config)) throw new CrossSiteRequest()
      if (row.stale) {
        await db
          .updateTable('sessions')
          .set({ last_seen_at: sql<Date>`now()` })
          .where('id', '=', row.id)
          // Of requests that come at once, one.
          .where('last_seen_at', '<', freshSince(config.sessionIdleMinutes))
          .execute()
      }
      return {
        type: 'session',
        sessionId: row.id,
        userId: row.user_id,
        email: row.email,
        name: row.name,
        role: row.role,
        createdAt: row.created_at,
        lastSeenAt: row.last_seen_at,
        expiresAt: row.expires_at
      }
    }

    app.decorate('authenticate', async (request: FastifyRequest) => {
      // A caller who sends Authorization means it: the cookie does not stand in for one that is wrong.
      if (request.headers.authorization !== undefined) throw new Unauthenticated()
      request.caller = await bySession(request)
    })
  },
  { name: 'authentication', fastify: '5.x', dependencies: ['services', '@fastify/cookie'] }
)

declare module 'fastify' {
  interface FastifyInstance {
    /** An onRequest hook for everything below `signedIn`. */
    authenticate: (request: FastifyRequest) => Promise<void>
  }
}

/** Anybody who is signed in. */
export const signedIn = guard((request) => request.principal)

/** Administrators of the service. */
export const administrator = guard((request) => {
  if (request.principal.role !== 'admin')
    throw new Forbidden({ detail: 'Only an administrator may do this.' })
  return request.principal
})
