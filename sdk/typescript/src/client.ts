import { againOf, changesValues, type Name } from './calls.ts'
import { Caller, type Proof } from './credentials.ts'
import { createConfig, createClient as createGenerated } from './generated/client/index.ts'
import { OPERATIONS } from './generated/contract.gen.ts'
import * as generated from './generated/sdk.gen.ts'
import type { CurrentSession, ResolveAnswer, SignIn } from './generated/types.gen.ts'
import { type LatchkeyOptions, settingsOf } from './options.ts'
import { eachOf, type Page } from './pages.ts'
import { type Asked, type Resolved, type ResolveOptions, Resolver } from './resolve.ts'
import { Transport } from './transport.ts'

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

const CALLS = { ...generated } as unknown as Record<Name, (options: object) => Promise<unknown>>

interface Sent {
  body?: unknown
  path?: unknown
  query?: unknown
  headers?: unknown
  signal?: unknown
}

/** A client of the service at `baseUrl`. Throws a TypeError or RangeError for options that cannot be meant. */
export function createClient(options: LatchkeyOptions): Latchkey {
  const { baseUrl, token, fetch, keepSeconds, keepMost, ...patience } = settingsOf(options)
  const client = createGenerated(createConfig({ baseUrl, throwOnError: true }))
  const transport = new Transport(fetch, new Caller(token), patience, ({ method }, { name }, status) => {
    if (changesValues(name, method) || status === 401) resolver.forget()
  })

  // What is generated makes the request; what is answered is read by the transport, which knows the attempts.
  async function perform(name: Name, given: Sent = {}, proof?: Proof): Promise<unknown> {
    const { body, path, query, headers, signal } = given
    const { parts, takesKey } = OPERATIONS[name]!
    requireParts(parts, path)
    let answer: unknown
    await CALLS[name]({
      ...{ client, body, path, query, headers, signal },
      async fetch(request: Request) {
        if (takesKey && !request.headers.has('idempotency-key'))
          request.headers.set('idempotency-key', newKey())
        answer = await transport.send(request, { name, again: againOf(name, request, takesKey) }, proof)
        return new Response(null, { status: 204 })
      }
    })
    resolver.note(answer)
    return answer
  }

  const operations = Object.fromEntries(
    Object.keys(CALLS).map((name) => [name, async (given?: Sent) => perform(name as Name, given)])
  ) as unknown as Operations

  const resolver = new Resolver(
    {
      prove: (signal) => transport.prove(signal),
      ask: (id, body, proof, signal) =>
        perform('resolveCredentials', { path: { id }, body, signal }, proof) as Promise<ResolveAnswer>
    },
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

// In a URL, `..` takes away the part before it, and so would name another operation.
function requireParts(parts: readonly string[], path: unknown): void {
  for (const name of parts) {
    const part: unknown = Object(path)[name]
    if (typeof part !== 'string' || /^\.{0,2}$/.test(part))
      throw new TypeError(`path.${name} cannot be a part of a path`)
  }
}

// Not crypto.randomUUID, which browsers have on secure pages only.
function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
}
