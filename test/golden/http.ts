import { once } from 'node:events'
import { type OutgoingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'

export interface Answer {
  status: number
  /** Names in lowercase, in the order sent, including duplicates. */
  headers: [name: string, value: string][]
  text: string
}

export interface Sending {
  method: string
  path: string
  headers: OutgoingHttpHeaders
  body?: string | Buffer | undefined
}

/** Sends one request over its own connection. Adds no headers but Host and Content-Length. */
export async function send(origin: string, { method, path, headers, body }: Sending): Promise<Answer> {
  const { hostname, port } = new URL(origin)
  const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
  const outgoing = request({ hostname, port, path, method, agent: false, headers: { ...length, ...headers } })
  const answer = new Promise<Answer>((resolve, reject) => {
    outgoing.on('error', reject)
    outgoing.on('response', async (response) => {
      let text = ''
      for await (const chunk of response.setEncoding('utf8')) text += chunk
      resolve({ status: response.statusCode!, headers: pairsOf(response.rawHeaders), text })
      outgoing.destroy()
    })
  })
  // If the caller announces a longer body than it sends, the request stays open until the answer arrives.
  if (Number(headers['content-length']) > 0) outgoing.write(body ?? '')
  else outgoing.end(body)
  return answer
}

/** Sends these bytes and reads until the server closes the connection. */
export async function sendBytes(origin: string, bytes: string): Promise<Answer> {
  const { hostname, port } = new URL(origin)
  const socket = connect({ host: hostname, port: Number(port) })
  let all = ''
  socket.setEncoding('utf8').on('data', (chunk) => {
    all += chunk
  })
  // The server may close before it has read everything.
  socket.on('error', () => {})
  socket.write(bytes)
  await once(socket, 'close')
  const [head = '', ...rest] = all.split('\r\n\r\n')
  const [statusLine = '', ...lines] = head.split('\r\n')
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
  })
  return { status: Number(statusLine.split(' ')[1]), headers, text: rest.join('\r\n\r\n') }
}

function pairsOf(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let i = 0; i < raw.length; i += 2) pairs.push([raw[i]!.toLowerCase(), raw[i + 1]!])
  return pairs
}
