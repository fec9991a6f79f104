import { connect, type Socket } from 'node:net'

export interface Request {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  path: string
  headers?: Record<string, string>
  body?: unknown
  /** Returns the request that undoes this one, such as a deletion after a create. */
  undo?: (answer: Answer) => Request
  /** Returns false for an unexpected body of a 2xx response. Called only if bodies are read. */
  isRight?: (body: string) => boolean
}

export interface Answer {
  status: number
  /** The status line and the headers. */
  head: string
  /** Empty unless bodies are read. */
  body: string
}

export interface Sent {
  seconds: number
  /** In milliseconds, per request. */
  latencies: number[]
}

export interface SendOptions {
  connections: number
  signal: AbortSignal
  readBodies?: boolean
  onAnswer?: (answer: Answer, request: Request, index: number) => void
}

const TIMEOUT_MS = 30_000
const RECEIVE_BUFFER = 64 * 1024

/**
 * Sends the requests in order over keep-alive connections, one request at a time on each. Rejects at the
 * first response that is not 2xx, has an unexpected body, or times out.
 */
export async function send(
  origin: string,
  requests: readonly Request[],
  { connections, signal, readBodies = false, onAnswer }: SendOptions
): Promise<Sent> {
  signal.throwIfAborted()
  const { hostname, port, host } = new URL(origin)
  // Not part of the measured time.
  const texts = requests.map((request) => textOf(request, host))
  const opening = Array.from({ length: Math.min(connections, requests.length) }, () =>
    Connection.open(hostname, Number(port))
  )
  const opened = await Promise.all(opening)
  const abort = () => {
    for (const connection of opened) connection.fail(signal.reason)
  }
  signal.addEventListener('abort', abort, { once: true })
  const latencies = new Array<number>(requests.length)
  let next = 0
  const work = async (connection: Connection) => {
    while (next < requests.length) {
      const index = next++
      const request = requests[index]!
      const began = performance.now()
      const answer = await connection.ask(texts[index]!, readBodies)
      latencies[index] = performance.now() - began
      if (
        answer.status < 200 ||
        answer.status > 299 ||
        (readBodies && request.isRight?.(answer.body) === false)
      ) {
        throw new Error(
          `${request.method} ${request.path} returned ${answer.status}: ${answer.body.slice(0, 1_000)}`
        )
      }
      onAnswer?.(answer, request, index)
    }
  }
  const began = performance.now()
  try {
    await Promise.all(opened.map(work))
    return { seconds: (performance.now() - began) / 1_000, latencies }
  } finally {
    signal.removeEventListener('abort', abort)
    for (const connection of opened) connection.close()
  }
}

function textOf({ method, path, headers = {}, body }: Request, host: string): string {
  const content = body === undefined ? '' : JSON.stringify(body)
  const lines = [`${method} ${path} HTTP/1.1`, `host: ${host}`]
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  if (body !== undefined) lines.push('content-type: application/json', `content-length: ${content.length}`)
  const text = `${lines.join('\r\n')}\r\n\r\n${content}`
  // The length above counts characters, and the socket writes one byte for each.
  if (/[^ -~]/.test(content)) throw new RangeError(`the body of ${method} ${path} is not ASCII`)
  return text
}

/** An HTTP/1.1 connection that parses no more than the service's responses require. */
class Connection {
  #socket: Socket | undefined
  #waiting: { resolve(answer: Answer): void; reject(error: Error): void } | undefined
  #failure: Error | undefined
  #readBody = false
  #head = ''
  #body = ''
  #status = 0
  /** Missing bytes of the body; undefined while the head is read. */
  #missing: number | undefined

  static open(host: string, port: number): Promise<Connection> {
    const connection = new Connection()
    const buffer = Buffer.allocUnsafe(RECEIVE_BUFFER)
    const callback = (bytes: number) => {
      connection.#receive(buffer, bytes)
      return true
    }
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true, onread: { buffer, callback } })
      connection.#socket = socket
      socket.setTimeout(TIMEOUT_MS, () => connection.fail(new Error(`no response within ${TIMEOUT_MS} ms`)))
      socket.once('connect', () => resolve(connection))
      socket.on('error', (error) => {
        reject(error)
        connection.fail(error)
      })
      socket.on('close', () => connection.fail(new Error('the server closed the connection')))
    })
  }

  ask(text: string, readBody: boolean): Promise<Answer> {
    this.#readBody = readBody
    this.#head = ''
    this.#body = ''
    this.#missing = undefined
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure)
      this.#waiting = { resolve, reject }
      this.#socket!.write(text, 'latin1')
    })
  }

  close(): void {
    this.#waiting = undefined
    this.#failure ??= new Error('closed')
    this.#socket!.destroy()
  }

  fail(error: Error): void {
    this.#failure ??= error
    this.#waiting?.reject(this.#failure)
    this.#waiting = undefined
    this.#socket?.destroy()
  }

  #receive(buffer: Buffer, bytes: number): void {
    let from = 0
    if (this.#missing === undefined) {
      const text = this.#head + buffer.toString('latin1', 0, bytes)
      const end = text.indexOf('\r\n\r\n')
      if (end < 0) {
        this.#head = text
        return
      }
      from = end + 4 - this.#head.length
      this.#head = text.slice(0, end + 2)
      this.#status = Number(text.slice(9, 12))
      const length = /\r\ncontent-length: (\d+)\r\n/i.exec(this.#head)?.[1]
      if (length === undefined && this.#status !== 204) {
        this.fail(new Error(`a response without content-length:\n${this.#head}`))
        return
      }
      this.#missing = Number(length ?? 0)
      if (this.#status < 200 || this.#status > 299) this.#readBody = true
    }
    if (this.#readBody) this.#body += buffer.toString('latin1', from, bytes)
    this.#missing -= bytes - from
    if (this.#missing > 0) return
    if (this.#missing < 0) {
      this.fail(new Error('a response longer than its content-length'))
      return
    }
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.resolve({ status: this.#status, head: this.#head, body: this.#body })
  }
}

/** Returns the value of a header. Throws if it is missing. */
export function headerOf({ head }: Answer, name: string): string {
  const value = new RegExp(`\\r\\n${name}: ([^\\r]+)\\r\\n`, 'i').exec(head)?.[1]
  if (value === undefined) throw new Error(`a response without ${name}:\n${head}`)
  return value
}
