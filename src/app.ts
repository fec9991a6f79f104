import cookie from '@fastify/cookie'
import { fastify, LogController } from 'fastify'
import { auditTargetsRequired, recordDenial } from './audit/denials.ts'
import { auditPartitions } from './audit/partition-job.ts'
import { auditRoutes } from './audit/routes.ts'
import { auditSealing } from './audit/sealing-job.ts'
import { authentication, callersOnly, MAX_ANONYMOUS_BODY } from './auth/authentication.ts'
import { fairReads } from './auth/fair-reads.ts'
import { cookieName } from './auth/presented-token.ts'
import { PERSONAL_SCOPES, PROJECT_SCOPES } from './auth/principal.ts'
import { rateLimits } from './auth/rate-limits.ts'
import { accessTokenRoutes } from './features/access-tokens/routes.ts'
import { credentialTypeRoutes } from './features/credential-types/routes.ts'
import { lightningListRoutes } from './features/credentials/lightning/list-routes.ts'
import {
  answerUnrouted,
  lightningRoutes,
  withoutEmptySegments
} from './features/credentials/lightning/routes.ts'
import { credentialPartRoutes } from './features/credentials/v1/part-routes.ts'
import { resolveRoutes } from './features/credentials/v1/resolve-routes.ts'
import { credentialRoutes } from './features/credentials/v1/routes.ts'
import { healthRoutes } from './features/health/routes.ts'
import { keyJobs } from './features/keys/key-jobs.ts'
import { retryOnKeyChange } from './features/keys/retry-on-key-change.ts'
import { projectRoutes } from './features/projects/routes.ts'
import { sessionRoutes, signInRoutes } from './features/session/routes.ts'
import { userRoutes } from './features/users/routes.ts'
import { cleanInput } from './http/clean-input.ts'
import { conditionalGet } from './http/conditional-get.ts'
import { documents } from './http/documents.ts'
import { answerUnreadable, errorHandler } from './http/error-handler.ts'
import { guardsRequired } from './http/guard.ts'
import { jsonBody } from './http/json-body.ts'
import { loadShedding } from './http/load-shedding.ts'
import { mergePatch } from './http/merge-patch.ts'
import { metrics } from './http/metrics.ts'
import { openapi } from './http/openapi.ts'
import { pipelining } from './http/pipelining.ts'
import { type LogStream, loggerOptions, requestIdOf, requestLog, standardOutput } from './http/request-log.ts'
import { schemaCompilers } from './http/schema-compilers.ts'
import { MAX_URL_PART } from './http/schemas.ts'
import { securityHeaders } from './http/security-headers.ts'
import { unrouted } from './http/unrouted.ts'
import { cleanup } from './jobs/cleanup.ts'
import { type Services, services } from './services.ts'

/**
 * Creates the Fastify app, without starting it. `logTo` receives the log instead of stdout. `eagerSchemas`
 * compiles all schemas at the start instead of on first use.
 */
export async function buildApp(
  appServices: Services,
  logTo: LogStream = standardOutput(),
  { eagerSchemas = false } = {}
) {
  const app = fastify({
    logger: loggerOptions(appServices.config.logLevel, logTo),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: requestIdOf,
    trustProxy: appServices.config.trustProxy as never,
    // Routes for callers, and no others, take larger bodies: see `callersOnly`.
    bodyLimit: MAX_ANONYMOUS_BODY,
    // The time that a client has to send headers and body.
    requestTimeout: 10_000,
    connectionTimeout: 20_000,
    http: { headersTimeout: 8_000, connectionsCheckingInterval: 2_000 },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    routerOptions: { maxParamLength: MAX_URL_PART },
    rewriteUrl: ({ url = '' }) => withoutEmptySegments(url),
    frameworkErrors: answerUnrouted,
    clientErrorHandler: answerUnreadable,
    schemaController: { compilersFactory: schemaCompilers({ eager: eagerSchemas }) }
  })

  await app.register(services, appServices)
  await app.register(errorHandler, { recordDenial, answerUnrouted })
  await app.register(requestLog)
  await app.register(metrics)
  await app.register(loadShedding)
  await app.register(pipelining)
  await app.register(securityHeaders)
  await app.register(jsonBody)
  await app.register(cleanInput)
  await app.register(mergePatch)
  await app.register(conditionalGet)
  await app.register(guardsRequired)
  await app.register(auditTargetsRequired)
  await app.register(openapi, {
    sessionCookie: cookieName(appServices.config.publicOrigin),
    personalScopes: PERSONAL_SCOPES,
    projectScopes: PROJECT_SCOPES
  })
  await app.register(cookie)
  await app.register(rateLimits)
  await app.register(authentication)
  await app.register(unrouted, { answer: answerUnrouted })
  await app.register(cleanup)
  await app.register(keyJobs)
  await app.register(auditSealing)
  await app.register(auditPartitions)

  await app.register(documents)
  await app.register(healthRoutes)
  await app.register(signInRoutes, { prefix: '/api/v1' })
  await app.register(async (signedIn) => {
    await signedIn.register(callersOnly)
    await signedIn.register(fairReads)
    await signedIn.register(retryOnKeyChange)
    await signedIn.register(sessionRoutes, { prefix: '/api/v1' })
    await signedIn.register(accessTokenRoutes, { prefix: '/api/v1/access-tokens' })
    await signedIn.register(userRoutes, { prefix: '/api/v1/users' })
    await signedIn.register(projectRoutes, { prefix: '/api/v1/projects' })
    await signedIn.register(credentialTypeRoutes, { prefix: '/api/v1/credential-types' })
    await signedIn.register(credentialRoutes, { prefix: '/api/v1/app-credentials' })
    await signedIn.register(credentialPartRoutes, { prefix: '/api/v1/app-credentials' })
    await signedIn.register(resolveRoutes, { prefix: '/api/v1/projects' })
    await signedIn.register(auditRoutes, { prefix: '/api/v1/audit-events' })
    await signedIn.register(lightningListRoutes, { prefix: '/api' })
    await signedIn.register(lightningRoutes, { prefix: '/api' })
  })
  return app
}

export type App = Awaited<ReturnType<typeof buildApp>>
