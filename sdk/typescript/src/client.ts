import { Caller, type Token } from './credentials.ts'
import { LatchkeyNetworkError } from './errors.ts'
import { createConfig, createClient as createGenerated } from './generated/client/index.ts'
import { CREATES } from './generated/contract.gen.ts'
import * as generated from './generated/sdk.gen.ts'
import type { CurrentSession, SignIn } from './generated/types.gen.ts'
import { eachOf, type Page } from './pages.ts'
import { type Asked, type Resolved, type ResolveOptions, Resolver } from './resolve.ts'
import { type Patience, transport } from './transport.ts'

export interface LatchkeyOptions {
  /** Where the service is, for example `https://latchkey.example.org`. */
  baseUrl: string
  /** Without one, the client is somebody who signs in. */
  token?: Token | undefined
  fetch?: typeof fetch | undefined
  /** How often a request is sent again, at the most: 3, if not said. */
  retries?: number | undefined
  /** For one attempt: 10, if not said. */
  attemptSeconds?: number | undefined
  /** After this, no attempt begins: 30, if not said. */
  totalSeconds?: number | undefined
  /** How long `resolve` may give values again that it was given: 0, if not said, and 300 at the most. */
  keepSeconds?: number | undefined
  /** Of how many credentials it keeps values, at the most: 1000, if not said. */
  keepMost?: number | undefined
}

type Generated = typeof generated
type Given<O> = Pick<O, keyof O & ('body' | 'path' | 'query' | 'headers' | 'signal')>
// biome-ignore lint/suspicious/noExplicitAny: any function at all
type Operation<F extends (...given: any) => Promise<unknown>> = (
  ...given: Parameters<F> extends [infer O]
    ? [request: Given<O>]
    : [request?: Given<NonNullable<Parameters<F>[0]>>]
) => Promise<Exclude<Awaited<ReturnType<F>>, undefined>>

/** Every operation of the document by its operationId: takes what is sent, and gives the answer's body or throws. */
export type Operations = { [Name in keyof Generated]: Operation<Generated[Name]> }

/** The operations whose answers have pages. */
export type Listing = {
  [Name in keyof Operations]: Awaited<ReturnType<Operations[Name]>> extends Page ? Name : never
}[keyof Operations]
type Row<Name extends Listing> = Awaited<ReturnType<Operations[Name]>>['data'][number]

export interface Latchkey extends Operations {
  /** Signs in; in a browser, the browser keeps the session. Throws `invalid-credentials`, or `too-many-attempts`. */
  signIn(person: SignIn): Promise<CurrentSession>
  signOut(): Promise<void>
  /** All rows on all pages, each once: `for await (const one of latchkey.each('listAppCredentials'))`. */
  each<Name extends Listing>(
    name: Name,
    ...given: Parameters<Operations[Name]>
  ): AsyncGenerator<Row<Name>, void, undefined>
  /** One credential's values, by a project token. Throws LatchkeyResolveError. */
  resolve<V extends Record<string, unknown>>(
    projectId: string,
    asked: Asked,
    options?: ResolveOptions
  ): Promise<Resolved<V>>
  /** Drops the values that `resolve` has kept. */
  forget(): void
}

// POST and DELETE that change no value: what is kept stays right.
const CHANGES_NO_VALUE = /\/(resolve|reveal|usages\/[^/]+)$/

/** A client of the service at `baseUrl`. Throws a TypeError or RangeError for options that cannot be meant. */
export function createClient(options: LatchkeyOptions): Latchkey {
  const {
    token,
    retries = 3,
    attemptSeconds = 10,
    totalSeconds = 30,
    keepSeconds = 0,
    keepMost = 1000
  } = options
  const bounds = { retries, attemptSeconds, totalSeconds, keepSeconds, keepMost }
  for (const [name, value] of Object.entries(bounds))
    if (!(value >= 0)) throw new RangeError(`${name} has to be 0 or more`)
  if (keepSeconds > 300) throw new RangeError('keepSeconds has to be 300 or less')
  const patience: Patience = { retries, attemptSeconds, totalSeconds }
  const baseUrl = placeOf(options.baseUrl)

  const client = createGenerated(
    createConfig({
      baseUrl,
      throwOnError: true,
      parseAs: 'json',
      fetch: transport({
        fetch: options.fetch ?? ((...given) => fetch(...given)),
        caller: new Caller(token),
        patience,
        watch({ method, url }, status) {
          const changes = method !== 'GET' && !CHANGES_NO_VALUE.test(new URL(url).pathname)
          if (changes || status === 401) resolver.forget()
        }
      }) as typeof fetch,
      responseTransformer: async (answer) => {
        resolver.note(answer)
        return answer
      }
    })
  )
  client.interceptors.request.use((request, { url }) => {
    if (request.method === 'POST' && CREATES.has(url) && !request.headers.has('idempotency-key'))
      request.headers.set('idempotency-key', newKey())
    return request
  })
  // The parser's message quotes the answer.
  client.interceptors.error.use((error) =>
    error instanceof SyntaxError ? new LatchkeyNetworkError('The answer is not JSON.', 1) : error
  )

  const operations = Object.fromEntries(
    Object.entries(generated).map(([name, call]) => [
      name,
      async ({ body, path, query, headers, signal }: Record<string, unknown> = {}) => {
        requireParts(path)
        return (call as (options: object) => Promise<unknown>)({ client, body, path, query, headers, signal })
      }
    ])
  ) as unknown as Operations

  const resolver = new Resolver(
    (id: string, body, signal) => operations.resolveCredentials({ path: { id }, body, signal }),
    { seconds: keepSeconds, most: keepMost }
  )

  return Object.assign(operations, {
    async signIn(body: SignIn) {
      if (token !== undefined) throw new TypeError('a client that has a token does not sign in')
      return operations.createSession({ body })
    },
    async signOut() {
      await operations.deleteSession()
    },
    each(name: Listing, given: { query?: Record<string, unknown> } = {}) {
      const list = operations[name] as (given: object) => Promise<Page>
      return eachOf((query) => list({ ...given, query }), given.query ?? {})
    },
    resolve: (projectId: string, asked: Asked, how: ResolveOptions = {}) =>
      resolver.resolve(projectId, asked, how),
    forget: () => resolver.forget()
  }) as Latchkey
}

/** The headers of a change that is to happen at this revision only. */
export function ifMatch(revision: number): { 'if-match': string } {
  return { 'if-match': `"${revision}"` }
}

// Not quoted in the errors: somebody may have written a password into it.
function placeOf(baseUrl: string): string {
  if (!URL.canParse(baseUrl)) throw new TypeError('baseUrl is not an absolute URL')
  const { protocol, username, password, search, hash, href } = new URL(baseUrl)
  if (!/^https?:$/.test(protocol)) throw new TypeError('baseUrl has to begin with https:// or http://')
  if (username || password || search || hash)
    throw new TypeError('baseUrl has to be without a user, a query and a fragment')
  return href
}

// In a URL, `..` takes away the part before it, and so would name another operation.
function requireParts(path: unknown): void {
  for (const [name, part] of Object.entries(path ?? {}))
    if (/^(\.{0,2}|undefined|null)$/.test(String(part)))
      throw new TypeError(`path.${name} cannot be a part of a path`)
}

// Not crypto.randomUUID, which browsers have on secure pages only.
function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
}
