import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export interface Asked {
  method: string
  /** Path and query. */
  url: string
  headers: IncomingHttpHeaders
  body: Buffer
}

export interface Answer {
  status: number
  headers?: Record<string, string>
  body: string
}

/** A server outside of the service that a test runs in its place, on loopback; gone when the test ends. */
export interface FakeServer {
  origin: string
  /** Refuses connections from now on, and ends those there are. */
  stop(): Promise<void>
  /** Listens again, on the same port. */
  restart(): Promise<void>
}

/** Answers by `answer`; never when that gives undefined. */
export async function startFakeServer(
  t: Test,
  answer: (asked: Asked) => Answer | undefined
): Promise<FakeServer> {
  let server: Server
  let port = 0
  const restart = async () => {
    server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      const { method = '', url = '', headers } = request
      const given = answer({ method, url, headers, body: Buffer.concat(chunks) })
      if (given) response.writeHead(given.status, given.headers).end(given.body)
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
