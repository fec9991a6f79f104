/** A personal or a project token, or what gives one: it is asked before each attempt, and once by each `resolve`. */
export type Token = string | (() => string | Promise<string>)

// `latchkey_session`, or with a prefix over https. A browser keeps the cookie itself, and shows it to no program.
const COOKIE = /^((?:__Host-|__Secure-)?latchkey_session)=([^;]*)/

/** What a request says of who sends it. Never printed. */
export interface Proof {
  header: [name: 'authorization' | 'cookie', value: string] | undefined
  /** The part of the header that nobody else is to see. */
  secret: string | undefined
  credentials: 'include' | 'omit'
}

/** Who is calling: a bearer token, or the session that was signed in to. Neither is ever printed. */
export class Caller {
  readonly #token: Token | undefined
  #session: { name: string; value: string } | undefined

  constructor(token: Token | undefined) {
    this.#token = token
  }

  /** Throws a TypeError, without the token, for one that no header can hold; and what the token's function throws. */
  async prove(): Promise<Proof> {
    if (this.#token === undefined) {
      const session = this.#session
      return {
        header: session && ['cookie', `${session.name}=${session.value}`],
        secret: session?.value,
        credentials: 'include'
      }
    }
    const token: unknown = typeof this.#token === 'string' ? this.#token : await this.#token()
    if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token))
      throw new TypeError('the token is no string, empty, or not of visible characters of ASCII')
    return { header: ['authorization', `Bearer ${token}`], secret: token, credentials: 'omit' }
  }

  /** Keeps the session that an answer starts, and drops the one that it ends, if that is still the one here. */
  learn({ status, headers }: Response, { secret }: Proof, signsIn: boolean): void {
    if (this.#token !== undefined || (!signsIn && secret !== this.#session?.value)) return
    if (status === 401 && !signsIn) this.#session = undefined
    for (const line of headers.getSetCookie?.() ?? []) {
      const [, name, value] = COOKIE.exec(line) ?? []
      if (name) this.#session = value ? { name, value } : undefined
    }
  }
}
