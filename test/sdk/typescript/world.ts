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

/**
 * The client as it was built, the service, Ann, a project of hers with a runner, and a way to the service on
 * which things go wrong.
 */
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
    /** A client by way of the proxy. */
    client,
    /** One that Ann has signed in to. */
    async signedIn(options: Partial<Sdk.LatchkeyOptions> = {}) {
      const one = client(options)
      await one.signIn({ email: ann.person.email, password: ann.person.password })
      proxy.passed.length = 0
      return one
    },
    newCredential: (more: object = {}) => newCredential(ann, type, { projectIds: [project], ...more })
  }
}

/** What the promise is rejected with, as one of this class; fails the test when it is not. */
export async function thrown<E extends Error>(
  t: Test,
  kind: new (...given: never[]) => E,
  work: Promise<unknown>
): Promise<E> {
  const outcome = await work.then(
    () => new Error('nothing was thrown'),
    (error) => error
  )
  // A test whose output has control characters is lost, and then passes.
  t.ok(outcome instanceof kind, String(outcome).replace(/[\p{Cc}\u2028\u2029]/gu, ' '))
  return outcome
}
