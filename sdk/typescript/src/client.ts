import { Authenticator, type RequestAuth } from './authenticator.ts'
import { Call, type WithResponse } from './call.ts'
import { createConfig, createClient as createGenerated } from './generated/client/index.ts'
import { OPERATIONS } from './generated/contract.gen.ts'
import * as generated from './generated/sdk.gen.ts'
import type { CurrentSession, ResolveAnswer, SignIn } from './generated/types.gen.ts'
import { type LatchkeyOptions, parseOptions } from './options.ts'
import { iteratePages, type Page } from './pages.ts'
import { type Asked, type Resolved, type ResolveOptions, Resolver } from './resolve.ts'
import { changesValues, type OperationName, retryPolicyFor } from './retry-policy.ts'
import { Transport } from './transport.ts'

type Generated = typeof generated
type RequestOf<O> = Pick<O, keyof O & ('body' | 'path' | 'query' | 'headers' | 'signal')>
// biome-ignore lint/suspicious/noExplicitAny: matches any function
type Operation<F extends (...args: any) => Promise<unknown>> = (
  ...args: Parameters<F> extends [infer O]
    ? [request: RequestOf<O>]
    : [request?: RequestOf<NonNullable<Parameters<F>[0]>>]
) => Call<Exclude<Awaited<ReturnType<F>>, undefined>>

/**
 * Every operation of the API, by its operationId. Takes the request and returns the response body, or throws.
 * `withResponse()` also returns the status and the headers.
 */
export type Operations = { [Name in keyof Generated]: Operation<Generated[Name]> }

/** The operations that return pages. */
export type Listing = {
  [Name in keyof Operations]: Awaited<ReturnType<Operations[Name]>> extends Page ? Name : never
}[keyof Operations]
type Row<Name extends Listing> = Awaited<ReturnType<Operations[Name]>>['data'][number]

export interface Latchkey extends Operations {
  /**
   * Signs in. In a browser, the browser keeps the session. Throws `invalid-credentials` or
   * `too-many-attempts`.
   */
  signIn(person: SignIn): Promise<CurrentSession>
  signOut(): Promise<void>
  /** Yields every row of every page once: `for await (const row of latchkey.each('listAppCredentials'))`. */
  each<Name extends Listing>(
    name: Name,
    ...args: Parameters<Operations[Name]>
  ): AsyncGenerator<Row<Name>, void, undefined>
  /** Resolves one credential with a project token. Throws LatchkeyResolveError. */
  resolve<V extends Record<string, unknown>>(
    projectId: string,
    credential: Asked,
    options?: ResolveOptions
  ): Promise<Resolved<V>>
  /** Removes all values cached by `resolve`. */
  forget(): void
}

const CALLS = { ...generated } as unknown as Record<OperationName, (options: object) => Promise<unknown>>

interface RequestInput {
  body?: unknown
  path?: unknown
  query?: unknown
  headers?: unknown
  signal?: unknown
}

/** Creates a client of the service at `baseUrl`. Throws a TypeError or RangeError if an option is invalid. */
export function createClient(options: LatchkeyOptions): Latchkey {
  const { baseUrl, token, fetch, keepSeconds, keepMost, ...limits } = parseOptions(options)
  const client = createGenerated(createConfig({ baseUrl, throwOnError: true }))
  const transport = new Transport(fetch, new Authenticator(token), limits, ({ method }, { name }, status) => {
    if (changesValues(name, method) || status === 401) resolver.forget()
  })

  // The generated function builds the request. The transport sends it and reads the response, because it
  // manages the attempts.
  async function perform(
    name: OperationName,
    input: RequestInput = {},
    auth?: RequestAuth
  ): Promise<WithResponse<unknown>> {
    const { body, path, query, headers, signal } = input
    const { pathParams, acceptsIdempotencyKey } = OPERATIONS[name]!
    requirePathParams(pathParams, path)
    let result: WithResponse<unknown> | undefined
    await CALLS[name]({
      ...{ client, body, path, query, headers, signal },
      async fetch(request: Request) {
        if (acceptsIdempotencyKey && !request.headers.has('idempotency-key'))
          request.headers.set('idempotency-key', newIdempotencyKey())
        const retry = retryPolicyFor(name, request, acceptsIdempotencyKey)
        result = await transport.send(request, { name, retry }, auth)
        return new Response(null, { status: 204 })
      }
    })
    resolver.recordRevisions(result!.data)
    return result!
  }

  const operations = Object.fromEntries(
    Object.keys(CALLS).map((name) => [
      name,
      (input?: RequestInput) => new Call(perform(name as OperationName, input))
    ])
  ) as unknown as Operations

  const resolver = new Resolver(
    {
      authenticate: (signal) => transport.authenticate(signal),
      resolve: (id, body, auth, signal) =>
        new Call(
          perform('resolveCredentials', { path: { id }, body, signal }, auth)
        ) as Promise<ResolveAnswer>
    },
    { seconds: keepSeconds, maxEntries: keepMost }
  )

  return Object.assign(operations, {
    async signIn(body: SignIn) {
      if (token !== undefined) throw new TypeError('signIn() needs a client without a token')
      return operations.createSession({ body })
    },
    async signOut() {
      await operations.deleteSession()
    },
    each(name: Listing, input: { query?: Record<string, unknown> } = {}) {
      const list = operations[name] as (input: object) => Promise<Page>
      return iteratePages((query) => list({ ...input, query }), input.query ?? {})
    },
    resolve: (projectId: string, credential: Asked, options: ResolveOptions = {}) =>
      resolver.resolve(projectId, credential, options),
    forget: () => resolver.forget()
  }) as Latchkey
}

/** Headers that apply a change only if the credential still has this revision. */
export function ifMatch(revision: number): { 'if-match': string } {
  return { 'if-match': `"${revision}"` }
}

// `..` would remove the preceding segment of the URL, and so call a different operation.
function requirePathParams(names: readonly string[], path: unknown): void {
  for (const name of names) {
    const value: unknown = Object(path)[name]
    if (typeof value !== 'string' || /^\.{0,2}$/.test(value))
      throw new TypeError(`path.${name} cannot be used in a path`)
  }
}

// Browsers offer crypto.randomUUID only on secure pages.
function newIdempotencyKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
}
