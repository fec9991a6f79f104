import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** A fault of one request. */
export type Fault =
  /** The connection is reset before the service receives the request. */
  | 'refused'
  /** The service processes the request, but its response does not arrive. */
  | 'lost'
  /** The service processes the request, but its response is cut off in the middle. */
  | 'cut'
  /** The service does not receive the request, and there is no response. */
  | 'silent'
  /** A proxy in between responds instead of the service. */
  | { status: number; headers?: Record<string, string>; body?: string }

export interface Passed {
  method: string
  url: string
  headers: IncomingHttpHeaders
  body: string
}

export interface FaultyProxy {
  origin: string
  /** The requests so far, faulty or not. */
  passed: Passed[]
  /** Sets the faults of the next requests, one each; `undefined` lets a request pass. */
  next(...faults: (Fault | undefined)[]): void
  /** Stops injecting faults. */
  calm(): void
  /** Called before a request is passed on. */
  before: (passed: Passed) => unknown
  /** Returns what the client gets instead of the response body. */
  rewrite: (body: Buffer) => Buffer
}

const NOT_FORWARDED = new Set([
  'connection',
  'content-length',
  'host',
  'http2-settings',
  'transfer-encoding',
  'upgrade'
])

/** Starts a proxy between a client and the service at `origin`; closed when the test ends. */
export async function startFaultyProxy(t: Test, origin: string): Promise<FaultyProxy> {
  const faults: (Fault | undefined)[] = []
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { method = '', url = '', headers } = request
    const body = Buffer.concat(chunks)
    const passed = { method, url, headers, body: body.toString() }
    proxy.passed.push(passed)
    const fault = faults.shift()
    if (fault === 'silent') return
    if (fault === 'refused') return void request.socket.resetAndDestroy()
    if (typeof fault === 'object') return void response.writeHead(fault.status, fault.headers).end(fault.body)
    await proxy.before(passed)
    const sent = Object.entries(headers).filter(([name]) => !NOT_FORWARDED.has(name))
    const given = await fetch(origin + url, {
      method,
      headers: Object.fromEntries(sent) as Record<string, string>,
      redirect: 'manual',
      ...(body.length > 0 && { body: new Uint8Array(body) })
    })
    const bytes = proxy.rewrite(Buffer.from(await given.arrayBuffer()))
    if (fault === 'lost') return void request.socket.resetAndDestroy()
    const kept = [...given.headers].filter(
      ([name]) => !/^(set-cookie|content-length|connection|keep-alive|transfer-encoding)$/.test(name)
    )
    response.writeHead(given.status, {
      ...Object.fromEntries(kept),
      'set-cookie': given.headers.getSetCookie(),
      ...(bytes.length > 0 && { 'content-length': bytes.length })
    })
    if (fault !== 'cut') return void response.end(bytes)
    response.write(bytes.subarray(0, bytes.length / 2), () => request.socket.destroy())
  }
  const server = createServer((request, response) => {
    // If the service is down, the connection is closed.
    answer(request, response).catch(() => request.socket.resetAndDestroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy: FaultyProxy = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    passed: [],
    next: (...more) => void faults.push(...more),
    calm: () => void faults.splice(0),
    before: () => {},
    rewrite: (body) => body
  }
  t.teardown(async () => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  })
  return proxy
}
