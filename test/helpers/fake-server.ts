import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export interface FakeRequest {
  method: string
  /** Path and query. */
  url: string
  headers: IncomingHttpHeaders
  body: Buffer
}

export interface FakeResponse {
  status: number
  headers?: Record<string, string>
  body: string
}

/** A loopback server that replaces an external service; closed when the test ends. */
export interface FakeServer {
  origin: string
  /** Closes the server and its connections. */
  stop(): Promise<void>
  /** Listens again, on the same port. */
  restart(): Promise<void>
}

/** Starts a server that answers requests with the result of `respond`, or not at all if it is undefined. */
export async function startFakeServer(
  t: Test,
  respond: (request: FakeRequest) => FakeResponse | undefined
): Promise<FakeServer> {
  let server: Server
  let port = 0
  const restart = async () => {
    server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      const { method = '', url = '', headers } = request
      const answer = respond({ method, url, headers, body: Buffer.concat(chunks) })
      if (answer) response.writeHead(answer.status, answer.headers).end(answer.body)
    }).listen(port, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  }
  const stop = async () => {
    if (!server.listening) return
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
  await restart()
  t.teardown(stop)
  return { origin: `http://127.0.0.1:${port}`, stop, restart }
}
