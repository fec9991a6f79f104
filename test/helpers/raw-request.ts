import { once } from 'node:events'
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'

export interface RawAnswer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  /** The parsed body, if it is JSON and not compressed. */
  // biome-ignore lint/suspicious/noExplicitAny: what came over the wire has no type here
  json: any
}

export interface RawRequest {
  method?: string
  headers?: OutgoingHttpHeaders
  /** An array is sent in chunks, without a length. */
  body?: string | Buffer | Buffer[]
}

/** Sends one request over a separate connection. Unlike `fetch`, accepts any headers. */
export async function send(
  origin: string,
  path: string,
  { method = 'GET', headers = {}, body }: RawRequest = {}
): Promise<RawAnswer> {
  const { hostname, port } = new URL(origin)
  const length =
    typeof body === 'string' || Buffer.isBuffer(body) ? { 'content-length': Buffer.byteLength(body) } : {}
  const outgoing = request({ hostname, port, path, method, agent: false, headers: { ...length, ...headers } })
  // The response may arrive, and the connection end, before the whole body is sent.
  outgoing.on('error', () => {})
  const answered = new Promise<RawAnswer>((resolve, reject) => {
    outgoing.on('close', () => reject(new Error(`${method} ${path.slice(0, 80)}: no answer`)))
    outgoing.on('response', async (response) => {
      let text = ''
      try {
        for await (const chunk of response.setEncoding('utf8')) text += chunk
      } catch {
        // The server cut off the response.
      }
      resolve(answerOf(response.statusCode!, response.headers, text))
    })
  })
  for (const chunk of Array.isArray(body) ? body : []) outgoing.write(chunk)
  outgoing.end(Array.isArray(body) ? undefined : body)
  return answered
}

function answerOf(status: number, headers: IncomingHttpHeaders, text: string): RawAnswer {
  const isJson = /json/.test(headers['content-type'] ?? '') && text !== '' && !headers['content-encoding']
  return { status, headers, text, json: isJson ? JSON.parse(text) : undefined }
}

/**
 * Sends these bytes, and waits until the server closes the connection. Returns its first response, and how
 * long the connection was open.
 */
export async function sendRawBytes(
  origin: string,
  bytes: string | Buffer
): Promise<RawAnswer & { all: string; closedAfterMs: number }> {
  const { hostname, port } = new URL(origin)
  const socket = connect({ host: hostname, port: Number(port) })
  const from = performance.now()
  let all = ''
  socket.setEncoding('utf8').on('data', (chunk) => {
    all += chunk
  })
  socket.on('error', () => {})
  socket.write(bytes)
  await once(socket, 'close')
  const closedAfterMs = performance.now() - from
  const [head = '', ...rest] = all.split('\r\n\r\n')
  const [statusLine = '', ...lines] = head.split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => [line.split(':')[0]!.toLowerCase(), line.slice(line.indexOf(':') + 1).trim()])
  )
  const answer = answerOf(Number(statusLine.split(' ')[1]), headers, rest.join('\r\n\r\n'))
  return { ...answer, all, closedAfterMs }
}
