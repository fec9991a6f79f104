import { join } from 'node:path'
import type { Test } from 'tap'
import type * as Sdk from '../../../sdk/typescript/src/index.ts'
import { startTestApp } from '../../helpers/app.ts'
import { type FaultyProxy, startFaultyProxy } from '../../helpers/faulty-proxy.ts'
import { newCredential, newProject, newType } from '../../helpers/fixtures.ts'
import { newToken } from '../../helpers/tokens.ts'

export type { Sdk }

export const PACKAGE = join(import.meta.dirname, '../../../sdk/typescript')

export type World = Awaited<ReturnType<typeof startWorld>>

/** Starts the service and a proxy that can inject faults, and creates a user, a project and tokens. */
export async function startWorld(t: Test, built = PACKAGE) {
  const sdk: typeof Sdk = await import(join(built, 'dist/index.js'))
  const service = await startTestApp(t)
  const proxy: FaultyProxy = await startFaultyProxy(t, service.origin)
  const ann = await service.newUser({ name: 'Ann' })
  const type = await newType(ann)
  const project = await newProject(ann)
  const runner = await newToken(ann, ['credentials:resolve', 'credentials:read', 'usages:write'], {
    projectId: project
  })
  const personal = await newToken(ann, ['credentials:read', 'credentials:write', 'credentials:reveal'])
  const client = (options: Partial<Sdk.LatchkeyOptions> = {}) =>
    sdk.createClient({ baseUrl: proxy.origin, ...options })
  return {
    sdk,
    service,
    proxy,
    ann,
    type,
    project,
    tokens: { runner: runner.bearer!, personal: personal.bearer! },
    /** Creates a client that connects through the proxy. */
    client,
    /** Creates a client and signs in as Ann. */
    async signedIn(options: Partial<Sdk.LatchkeyOptions> = {}) {
      const one = client(options)
      await one.signIn({ email: ann.person.email, password: ann.person.password })
      proxy.passed.length = 0
      return one
    },
    newCredential: (more: object = {}) => newCredential(ann, type, { projectIds: [project], ...more })
  }
}

/** Returns the error of a rejected promise. Fails the test if it is not of the given class. */
export async function thrown<E extends Error>(
  t: Test,
  kind: new (...given: never[]) => E,
  work: Promise<unknown>
): Promise<E> {
  const outcome = await work.then(
    () => new Error('nothing was thrown'),
    (error) => error
  )
  // tap loses tests whose output contains control characters, and then reports success.
  t.ok(outcome instanceof kind, String(outcome).replace(/[\p{Cc}\u2028\u2029]/gu, ' '))
  return outcome
}
