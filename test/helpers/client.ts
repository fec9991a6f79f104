import { setTimeout as sleep } from 'node:timers/promises'
import type { Contract } from './contract.ts'

export interface Answer {
  status: number
  headers: Headers
  text: string
  /** The body as JSON; the tests know its shape. */
  // biome-ignore lint/suspicious/noExplicitAny: what came over the wire has no type here
  json: any
}

export interface RequestOptions {
  headers?: Record<string, string>
  /** Sent as it is, without a content type. */
  raw?: string | Buffer
}

export interface Person {
  id: string
  email: string
  password: string
}

const isBusy = ({ status }: Response, text: string) =>
  status === 503 && text.includes('"The service is busy; try again."')

/**
 * One caller over HTTP, which keeps its session cookie. Checks every response against the API document. Waits
 * and retries, as clients should, while the service is busy.
 */
export class Client {
  readonly origin: string
  readonly #contract: Contract
  cookie: string | undefined
  bearer: string | undefined
  person!: Person

  constructor(origin: string, contract: Contract) {
    this.origin = origin
    this.#contract = contract
  }

  get(path: string, options?: RequestOptions) {
    return this.request('GET', path, undefined, options)
  }

  post(path: string, body?: unknown, options?: RequestOptions) {
    return this.request('POST', path, body, options)
  }

  put(path: string, body?: unknown, options?: RequestOptions) {
    return this.request('PUT', path, body, options)
  }

  delete(path: string, options?: RequestOptions) {
    return this.request('DELETE', path, undefined, options)
  }

  async request(method: string, path: string, body?: unknown, options: RequestOptions = {}): Promise<Answer> {
    const headers: Record<string, string> = { ...options.headers }
    if (this.cookie && !('cookie' in headers)) headers.cookie = this.cookie
    if (this.bearer) headers.authorization = `Bearer ${this.bearer}`
    const init: RequestInit = { method, headers, redirect: 'manual' }
    if (options.raw !== undefined) init.body = new Uint8Array(Buffer.from(options.raw))
    else if (body !== undefined) {
      headers['content-type'] = 'application/json'
      init.body = JSON.stringify(body)
    }
    let response = await fetch(this.origin + path, init)
    let text = await response.text()
    // On an overloaded test machine, the service sheds load.
    for (let retries = 0; isBusy(response, text) && retries < 10; retries++) {
      await sleep(1_000)
      response = await fetch(this.origin + path, init)
      text = await response.text()
    }
    const cookie = response.headers.getSetCookie().find((one) => one.includes('latchkey_session='))
    if (cookie) this.cookie = cookie.split(';')[0]!.endsWith('=') ? undefined : cookie.split(';')[0]
    const type = response.headers.get('content-type')
    const flaw = this.#contract.flaw(method, path.split('?')[0]!, response.status, type, text)
    if (flaw) throw new Error(`the response violates the API document: ${flaw}\n${text}`)
    const json = /json/.test(type ?? '') && text ? JSON.parse(text) : undefined
    return { status: response.status, headers: response.headers, text, json }
  }

  /** Creates another client of the same service, which is not signed in. */
  other(): Client {
    return new Client(this.origin, this.#contract)
  }

  async signIn(person: Pick<Person, 'email' | 'password'>): Promise<Answer> {
    const answer = await this.post('/api/v1/session', { email: person.email, password: person.password })
    if (answer.status === 200) this.person = { ...person, id: answer.json.user.id }
    return answer
  }
}
