/** A token, or a function that returns one: called before each attempt, and once per `resolve`. */
export type Token = string | (() => string | Promise<string>)

// `latchkey_session`, with a prefix over https. Browsers keep the cookie themselves and hide it from
// programs.
const COOKIE = /^((?:__Host-|__Secure-)?latchkey_session)=([^;]*)/

/** The credentials of one request. Never printed. */
export interface RequestAuth {
  header: [name: 'authorization' | 'cookie', value: string] | undefined
  /** The secret part of the header, to be removed from errors. */
  secret: string | undefined
  credentials: 'include' | 'omit'
}

/**
 * Authenticates requests with a bearer token or with the session that was signed in to. Never prints either.
 */
export class Authenticator {
  readonly #token: Token | undefined
  #session: { name: string; value: string } | undefined

  constructor(token: Token | undefined) {
    this.#token = token
  }

  /**
   * Throws whatever the token function throws, and a TypeError, without the token, if the token cannot be a
   * header value.
   */
  async authenticate(): Promise<RequestAuth> {
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
      throw new TypeError('the token must be a non-empty string of visible ASCII characters')
    return { header: ['authorization', `Bearer ${token}`], secret: token, credentials: 'omit' }
  }

  /**
   * Stores the session that a response starts. Drops the session that it ends, if it is still the current
   * one.
   */
  updateSession({ status, headers }: Response, { secret }: RequestAuth, signsIn: boolean): void {
    if (this.#token !== undefined || (!signsIn && secret !== this.#session?.value)) return
    if (status === 401 && !signsIn) this.#session = undefined
    for (const line of headers.getSetCookie?.() ?? []) {
      const [, name, value] = COOKIE.exec(line) ?? []
      if (name) this.#session = value ? { name, value } : undefined
    }
  }
}
