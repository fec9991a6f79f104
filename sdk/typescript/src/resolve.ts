import type { Proof } from './credentials.ts'
import { LatchkeyError, LatchkeyResolveError } from './errors.ts'
import type { ResolveAnswer, ResolvedCredential, ResolveRequest } from './generated/types.gen.ts'
import { type Found, type Keeping, Kept } from './kept.ts'
import { unlessAborted } from './waiting.ts'

/** One credential of a project: by its id, or by its name without regard to case. */
export type Asked = { id: string; name?: never } | { name: string; id?: never }

type Values = Record<string, unknown>

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

export interface Resolving {
  /** Who asks, now. */
  prove(signal: AbortSignal | undefined): Promise<Proof>
  ask(projectId: string, body: ResolveRequest, proof: Proof, signal: AbortSignal): Promise<ResolveAnswer>
}

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
 * Resolves with one request for all who ask for the same at once with the same proof, and keeps values for as long as
 * `keeping` says. What is kept is given to who proves the same, while no newer revision has been seen, nothing was changed
 * by this client, and it has not expired.
 */
export class Resolver {
  readonly #service: Resolving
  readonly #kept: Kept
  readonly #flights = new Map<string, Flight>()
  /** The highest revision seen of each credential. */
  readonly #revisions = new Map<string, number>()

  constructor(service: Resolving, keeping: Keeping) {
    this.#service = service
    this.#kept = new Kept(keeping)
  }

  /** Throws LatchkeyResolveError when the credential cannot be resolved, and what proving and asking throw. */
  async resolve(projectId: string, asked: Asked, options: ResolveOptions): Promise<Resolved> {
    const { environment = 'main', signal } = options
    const proof = await this.#service.prove(signal)
    // What one token was given is nothing to another: the key has it, and is never shown.
    const key = JSON.stringify([proof.secret, projectId, environment, asked.id?.toLowerCase(), asked.name])
    const kept = this.#kept.get(key)
    if (kept && !this.#isOld(kept)) return new Resolved(kept)
    this.#kept.delete(key)
    const body = { credentials: [asked], environment }
    const answered = () => joined(this.#flights.get(key) ?? this.#depart(key, projectId, body, proof), signal)
    let answer = await answered()
    // A shared answer may be older than what was seen while it was under way. Revisions of a backup that was put back
    // may be lower, too: what was seen counts once, and then what the service says.
    if (this.#isOld(answer)) {
      this.#revisions.delete(answer.id!)
      answer = await answered()
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

  #depart(key: string, projectId: string, body: ResolveRequest, proof: Proof): Flight {
    const controller = new AbortController()
    // Whether nothing was forgotten since.
    const counts = () => this.#flights.get(key) === flight
    const answer = this.#service.ask(projectId, body, proof, controller.signal).then(
      ({ results }) => {
        const one = results[0]!
        if (counts() && !one.error && !this.#isOld(one)) this.#kept.set(key, one as Found)
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

  #isOld({ id, revision }: ResolvedCredential): boolean {
    return id !== undefined && revision !== undefined && revision < (this.#revisions.get(id) ?? 0)
  }
}

/** The answer. Who leaves by their signal takes nobody along; when all have left, the request is ended. */
async function joined(flight: Flight, signal: AbortSignal | undefined): Promise<ResolvedCredential> {
  flight.waiting++
  try {
    return await unlessAborted(signal, flight.answer)
  } finally {
    if (--flight.waiting === 0) flight.end()
  }
}
