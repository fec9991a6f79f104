/** A personal or a project token, or what gives one: it is asked before each attempt. */
export type Token = string | (() => string | Promise<string>)

// `latchkey_session`, or with a prefix over https. A browser keeps the cookie itself, and shows it to no program.
const COOKIE = /^((?:__Host-|__Secure-)?latchkey_session)=([^;]*)/

/** Who is calling: a bearer token, or the session that was signed in to. Neither is ever printed. */
export class Caller {
  readonly #token: Token | undefined
  #cookie: string | undefined

  constructor(token: Token | undefined) {
    this.#token = token
  }

  /** What a request needs besides. Throws a TypeError, without the token, for one that no header can hold. */
  async prove(headers: Headers): Promise<{ headers: Headers; credentials: 'include' | 'omit' }> {
    const proved = new Headers(headers)
    if (this.#token === undefined) {
      if (this.#cookie !== undefined) proved.set('cookie', this.#cookie)
      return { headers: proved, credentials: 'include' }
    }
    const token = typeof this.#token === 'string' ? this.#token : await this.#token()
    if (!/^[\x21-\x7e]+$/.test(token))
      throw new TypeError('the token is empty, or not of visible characters of ASCII')
    proved.set('authorization', `Bearer ${token}`)
    return { headers: proved, credentials: 'omit' }
  }

  /** Keeps the session that an answer starts, and drops the one that it ends. */
  learn({ status, headers }: Response): void {
    if (this.#token !== undefined) return
    if (status === 401) this.#cookie = undefined
    for (const line of headers.getSetCookie?.() ?? []) {
      const [, name, value] = COOKIE.exec(line) ?? []
      if (name) this.#cookie = value ? `${name}=${value}` : undefined
    }
  }
}
