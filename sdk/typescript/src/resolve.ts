import type { RequestAuth } from './authenticator.ts'
import { LatchkeyError, LatchkeyResolveError } from './errors.ts'
import type {
  ResolveAnswer,
  ResolvedCredential,
  ResolveRequest,
  ResolveResult
} from './generated/types.gen.ts'
import { raceAbort } from './timeouts.ts'
import { type CacheLimits, ValueCache } from './value-cache.ts'

/** One credential of a project, by its id or by its name (case-insensitive). */
export type Asked = { id: string; name?: never } | { name: string; id?: never }

type Values = Record<string, unknown>

/** A resolved credential. Neither `console.log` nor JSON shows its values. */
export class Resolved<V extends Values = Values> {
  readonly id: string
  readonly credentialName: string
  readonly typeName: string
  readonly environment: string
  readonly revision: number
  readonly expiresAt: string | null
  readonly #values: V

  constructor(found: ResolvedCredential) {
    this.id = found.id
    this.credentialName = found.credentialName
    this.typeName = found.typeName
    this.environment = found.environment
    this.revision = found.revision
    this.expiresAt = found.expiresAt
    // Cloned, because callers may share one response.
    this.#values = structuredClone(found.values) as V
  }

  /** The values by field name, with the JSON types in which they were stored. */
  get values(): V {
    return this.#values
  }
}

export interface ResolveOptions {
  /** Default `main`. */
  environment?: string | undefined
  signal?: AbortSignal | undefined
}

export interface ResolveService {
  authenticate(signal: AbortSignal | undefined): Promise<RequestAuth>
  resolve(
    projectId: string,
    body: ResolveRequest,
    auth: RequestAuth,
    signal: AbortSignal
  ): Promise<ResolveAnswer>
}

/** A request in flight that several callers may share. */
interface SharedRequest {
  result: Promise<ResolveResult>
  waiting: number
  /** Stops callers from joining, and aborts the request if it is not done. */
  end(): void
}

/** The number of remembered revisions after which everything is forgotten, which is always safe. */
const MAX_REVISIONS = 10_000

/**
 * Resolves credentials. Concurrent calls for the same credential with the same token share one request.
 * Values are cached within `limits` and per token, until the client sees a newer revision, changes anything,
 * or they expire.
 */
export class Resolver {
  readonly #service: ResolveService
  readonly #cache: ValueCache
  readonly #inFlight = new Map<string, SharedRequest>()
  /** The highest revision seen, by credential id. */
  readonly #revisions = new Map<string, number>()

  constructor(service: ResolveService, limits: CacheLimits) {
    this.#service = service
    this.#cache = new ValueCache(limits)
  }

  /** Throws LatchkeyResolveError if the credential cannot be resolved, and the errors of the service. */
  async resolve(projectId: string, credential: Asked, options: ResolveOptions): Promise<Resolved> {
    const { environment = 'main', signal } = options
    const auth = await this.#service.authenticate(signal)
    // The key contains the token, so tokens never share values. It is never printed.
    const key = JSON.stringify([
      auth.secret,
      projectId,
      environment,
      credential.id?.toLowerCase(),
      credential.name
    ])
    const cached = this.#cache.get(key)
    if (cached && !this.#isStale(cached)) return new Resolved(cached)
    this.#cache.delete(key)
    const body = { credentials: [credential], environment }
    const request = () => join(this.#inFlight.get(key) ?? this.#start(key, projectId, body, auth), signal)
    let result = await request()
    // A shared response may be older than a revision seen meanwhile: ask once more. A restored backup also
    // has lower revisions, so the second response is accepted in any case.
    if (this.#isStale(result)) {
      this.#revisions.delete(result.id)
      result = await request()
    }
    if (result.status === 'failed') throw new LatchkeyResolveError(result.error.code, result.error.detail)
    return new Resolved(result)
  }

  /** Records the revision of every credential in a response. */
  recordRevisions(response: unknown): void {
    const { data, results } = Object(response) as { data?: unknown; results?: unknown }
    for (const item of [response, data, results].flat()) {
      const { id, revision } = Object(item) as { id?: unknown; revision?: unknown }
      if (typeof id !== 'string' || typeof revision !== 'number') continue
      if (this.#revisions.size >= MAX_REVISIONS) this.forget()
      this.#revisions.set(id, Math.max(revision, this.#revisions.get(id) ?? 0))
    }
  }

  /** Removes all values. Requests in flight are completed, but neither cached nor shared. */
  forget(): void {
    this.#cache.clear()
    this.#inFlight.clear()
    this.#revisions.clear()
  }

  #start(key: string, projectId: string, body: ResolveRequest, auth: RequestAuth): SharedRequest {
    const controller = new AbortController()
    // False after forget().
    const isCurrent = () => this.#inFlight.get(key) === request
    const result = this.#service.resolve(projectId, body, auth, controller.signal).then(
      ({ results }) => {
        const found = results[0]!
        if (isCurrent() && found.status === 'resolved' && !this.#isStale(found)) this.#cache.set(key, found)
        return found
      },
      (error) => {
        // A caller who may no longer resolve in the project must not get cached values either.
        if (error instanceof LatchkeyError && [401, 403, 404].includes(error.status)) this.forget()
        throw error
      }
    )
    const end = () => {
      if (isCurrent()) this.#inFlight.delete(key)
      controller.abort()
    }
    result.then(end, end)
    const request: SharedRequest = { result, waiting: 0, end }
    this.#inFlight.set(key, request)
    return request
  }

  #isStale(found: ResolveResult): found is ResolvedCredential {
    return found.status === 'resolved' && found.revision < (this.#revisions.get(found.id) ?? 0)
  }
}

/** A caller's signal ends only its own wait. The request is aborted once no caller waits for it. */
async function join(request: SharedRequest, signal: AbortSignal | undefined): Promise<ResolveResult> {
  request.waiting++
  try {
    return await raceAbort(signal, request.result)
  } finally {
    if (--request.waiting === 0) request.end()
  }
}
