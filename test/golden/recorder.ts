import type { OutgoingHttpHeaders } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, send, sendBytes } from './http.ts'
import { Normaliser } from './normaliser.ts'

/** The headers that identify a caller. */
export type Caller = Readonly<Record<string, string>>

export interface Options {
  as?: Caller | undefined
  /** Sent as application/json. */
  json?: unknown
  /** Sent as it is; its type goes in `headers`. */
  body?: string | Buffer
  /** A header that is undefined is not sent. */
  headers?: OutgoingHttpHeaders
  /** Replaces the id in the answer with this name. Throws if there is no id. */
  name?: string
}

export interface Received extends Answer {
  /** The body as JSON, if it is. */
  // biome-ignore lint/suspicious/noExplicitAny: what came over the wire has no type here
  json: any
}

/** A request and its answer, normalized. */
export interface Exchange {
  requests: string[]
  status: number
  headers: [name: string, value: string][]
  body: string
}

export interface Seen {
  method: string
  path: string
  status: number
  /** The code of a problem. */
  code?: string | undefined
}

/** Sends requests to one service and records its answers, area by area. */
export class Recorder {
  origin: string
  readonly normaliser = new Normaliser()
  readonly areas = new Map<string, Map<string, Exchange>>()
  /** Every request that was answered, for the coverage. */
  readonly seen: Seen[] = []
  #area = ''

  constructor(origin: string) {
    this.origin = origin
  }

  area(name: string): void {
    this.#area = name
    this.normaliser.area(name)
    this.areas.set(name, new Map())
  }

  get = (name: string, path: string, options?: Options) => this.record(name, 'GET', path, options)
  post = (name: string, path: string, options?: Options) => this.record(name, 'POST', path, options)
  put = (name: string, path: string, options?: Options) => this.record(name, 'PUT', path, options)
  patch = (name: string, path: string, options?: Options) => this.record(name, 'PATCH', path, options)
  delete = (name: string, path: string, options?: Options) => this.record(name, 'DELETE', path, options)

  async record(name: string, method: string, path: string, options: Options = {}): Promise<Received> {
    const { received, exchange } = await this.exchange(name, method, path, options)
    this.keep(name, exchange)
    return received
  }

  /** Records the answer to raw bytes, for requests that no HTTP client would send. */
  async recordBytes(name: string, title: string, bytes: string): Promise<void> {
    const answer = await sendBytes(this.origin, bytes)
    const { status } = answer
    const [headers, body] = [this.normaliser.headers(answer, ''), this.normaliser.body(answer, '')]
    this.keep(name, { requests: [title], status, headers, body })
  }

  keep(name: string, exchange: Exchange): void {
    const area = this.areas.get(this.#area)!
    if (area.has(name)) throw new Error(`there are two exchanges ${this.#area}.${name}`)
    area.set(name, exchange)
  }

  /** Sends a request without recording the answer, to set up others. Throws unless it succeeds. */
  async quietly(method: string, path: string, options: Options = {}): Promise<Received> {
    const received = await this.#send('quiet', method, path, options)
    if (received.status >= 300) throw new Error(`${method} ${path}: ${received.status} ${received.text}`)
    if (options.name) this.#name(received, options.name)
    return received
  }

  async exchange(name: string, method: string, path: string, options: Options) {
    const requestId = `${this.#area}.${name}`
    // `updatedAt` must differ from `createdAt`, which is in milliseconds.
    if (method === 'PUT' || method === 'PATCH') await sleep(2)
    const received = await this.#send(requestId, method, path, options)
    if (options.name) this.#name(received, options.name)
    const exchange: Exchange = {
      requests: [`${method} ${this.normaliser.text(path)}`],
      status: received.status,
      headers: this.normaliser.headers(received, requestId, method === 'HEAD'),
      body: this.normaliser.body(received, requestId)
    }
    return { received, exchange }
  }

  #name({ json, text }: Received, name: string): void {
    const id = json?.id ?? json?.credential?.id
    if (typeof id !== 'string') throw new Error(`${name} was not made: ${text}`)
    this.normaliser.name(id, name)
  }

  async #send(requestId: string, method: string, path: string, { as, json, body, headers }: Options) {
    const isJson = json !== undefined
    const all = {
      'user-agent': 'golden',
      'x-request-id': requestId,
      ...(isJson && { 'content-type': 'application/json' }),
      ...as,
      ...headers
    }
    const sent = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
    const content = isJson ? JSON.stringify(json) : body
    const answer = await send(this.origin, { method, path, headers: sent, body: content })
    const type = new Map(answer.headers).get('content-type') ?? ''
    const isJsonAnswer = type.includes('json') && answer.text !== ''
    const received: Received = { ...answer, json: isJsonAnswer ? JSON.parse(answer.text) : undefined }
    const code = type.startsWith('application/problem+json') ? received.json?.code : undefined
    this.seen.push({ method, path, status: answer.status, code })
    return received
  }

  /** Signs in without recording it. */
  async signIn(email: string, password: string): Promise<Caller> {
    const { headers } = await this.quietly('POST', '/api/v1/session', { json: { email, password } })
    return { cookie: new Map(headers).get('set-cookie')!.split(';')[0]! }
  }
}

export const bearer = (token: string): Caller => ({ authorization: `Bearer ${token}` })
