import { LatchkeyError, LatchkeyResolveError } from './errors.ts'
import type { ResolveAnswer, ResolvedCredential, ResolveRequest } from './generated/types.gen.ts'

/** One credential of a project: by its id, or by its name without regard to case. */
export type Asked = { id: string; name?: never } | { name: string; id?: never }

type Values = Record<string, unknown>
type Found = Required<Omit<ResolvedCredential, 'name' | 'error'>>

/** One credential as it was handed out. Neither `console.log` nor JSON shows its values. */
export class Resolved<V extends Values = Values> {
  readonly id: string
  readonly credentialName: string
  readonly typeName: string
  readonly environment: string
  readonly revision: number
  readonly expiresAt: string | null
  readonly #values: V

  constructor(found: Found) {
    this.id = found.id
    this.credentialName = found.credentialName
    this.typeName = found.typeName
    this.environment = found.environment
    this.revision = found.revision
    this.expiresAt = found.expiresAt
    // Others may have been given the same answer.
    this.#values = structuredClone(found.values) as V
  }

  /** By field name, typed as they went in. */
  get values(): V {
    return this.#values
  }
}

export interface ResolveOptions {
  /** `main`, if not said. */
  environment?: string | undefined
  signal?: AbortSignal | undefined
}

/** How long values stay in memory, and of how many credentials. */
export interface Keeping {
  seconds: number
  most: number
}

type Ask = (projectId: string, body: ResolveRequest, signal: AbortSignal) => Promise<ResolveAnswer>

/** A request under way, and how many wait for it. */
interface Flight {
  answer: Promise<ResolvedCredential>
  waiting: number
  /** Lets nobody join any more, and ends what is not done. */
  end(): void
}

/** How many revisions are remembered before all is forgotten, which is always right. */
const MOST_REVISIONS = 10_000

/**
 * Resolves with one request for all who ask for the same at once, and keeps values for as long as `keeping` says. What is
 * kept is given only while no newer revision has been seen, nothing was changed by this client, and it has not expired.
 */
export class Resolver {
  readonly #ask: Ask
  readonly #keeping: Keeping
  readonly #kept = new Map<string, { found: Found; until: number }>()
  readonly #flights = new Map<string, Flight>()
  /** The highest revision seen of each credential. */
  readonly #revisions = new Map<string, number>()

  constructor(ask: Ask, keeping: Keeping) {
    this.#ask = ask
    this.#keeping = keeping
  }

  /** Throws LatchkeyResolveError when the credential cannot be resolved, and what `ask` throws. */
  async resolve(projectId: string, asked: Asked, options: ResolveOptions): Promise<Resolved> {
    const { environment = 'main', signal } = options
    signal?.throwIfAborted()
    const key = JSON.stringify([projectId, environment, asked.id?.toLowerCase(), asked.name])
    const kept = this.#kept.get(key)
    if (kept && Date.now() < kept.until && !this.#isOld(kept.found)) return new Resolved(kept.found)
    this.#kept.delete(key)
    const body = { credentials: [asked], environment }
    const answer = await joined(this.#flights.get(key) ?? this.#depart(key, projectId, body), signal)
    // A shared answer may be older than what was seen while it was under way. Revisions of a backup that was put back
    // may be lower, too: what was seen counts once.
    if (this.#isOld(answer)) {
      this.#revisions.delete(answer.id!)
      return this.resolve(projectId, asked, options)
    }
    if (answer.error) throw new LatchkeyResolveError(answer.error.code, answer.error.detail)
    return new Resolved(answer as Found)
  }

  /** Takes note of every credential in an answer of the service. */
  note(answer: unknown): void {
    const { data, results } = Object(answer) as { data?: unknown; results?: unknown }
    for (const one of [answer, data, results].flat()) {
      const { id, revision } = Object(one) as { id?: unknown; revision?: unknown }
      if (typeof id !== 'string' || typeof revision !== 'number') continue
      if (this.#revisions.size >= MOST_REVISIONS) this.forget()
      this.#revisions.set(id, Math.max(revision, this.#revisions.get(id) ?? 0))
    }
  }

  /** Drops all values; what is under way is answered, but neither kept nor shared. */
  forget(): void {
    this.#kept.clear()
    this.#flights.clear()
    this.#revisions.clear()
  }

  #depart(key: string, projectId: string, body: ResolveRequest): Flight {
    const controller = new AbortController()
    // Whether nothing was forgotten since.
    const counts = () => this.#flights.get(key) === flight
    const answer = this.#ask(projectId, body, controller.signal).then(
      ({ results }) => {
        const one = results[0]!
        if (counts()) this.#keep(key, one)
        return one
      },
      (error) => {
        // Who may no longer resolve in the project is not to have what is left of before either.
        if (error instanceof LatchkeyError && [401, 403, 404].includes(error.status)) this.forget()
        throw error
      }
    )
    const end = () => {
      if (counts()) this.#flights.delete(key)
      controller.abort()
    }
    answer.then(end, end)
    const flight: Flight = { answer, waiting: 0, end }
    this.#flights.set(key, flight)
    return flight
  }

  #keep(key: string, one: ResolvedCredential): void {
    if (one.error || this.#keeping.seconds <= 0 || this.#isOld(one)) return
    const found = one as Found
    const expires = found.expiresAt === null ? Infinity : Date.parse(found.expiresAt)
    this.#kept.set(key, { found, until: Math.min(Date.now() + this.#keeping.seconds * 1000, expires) })
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > this.#keeping.most) this.#kept.delete(oldest!)
  }

  #isOld({ id, revision }: ResolvedCredential): boolean {
    return id !== undefined && revision !== undefined && revision < (this.#revisions.get(id) ?? 0)
  }
}

/** The answer. Who leaves by their signal takes nobody along; when all have left, the request is ended. */
async function joined(flight: Flight, signal: AbortSignal | undefined): Promise<ResolvedCredential> {
  flight.waiting++
  let leave = () => {}
  try {
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(signal?.reason)
      signal?.addEventListener('abort', leave)
    })
    return await Promise.race([flight.answer, left])
  } finally {
    signal?.removeEventListener('abort', leave)
    if (--flight.waiting === 0) flight.end()
  }
}
