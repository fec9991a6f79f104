import { connect } from 'node:net'

/** The protocol's request for TLS. Servers and poolers answer it with one byte, whoever asks. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

/** The server, or the way to it, is gone. Other errors are those of this machine, such as of its DNS. */
const GONE = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'ENOENT']

/**
 * False if the server does not answer on a new connection. It has no session for that, so none has to be
 * free.
 */
export function givesSignOfLife(host: string, port: number, timeoutMs: number): Promise<boolean> {
  const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect({ host, port })
  return new Promise((resolve) => {
    const end = (alive: boolean) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(alive)
    }
    // After a long turn of this process, an answer may have arrived that was not read yet.
    const timer = setTimeout(() => setImmediate(() => end(false)), timeoutMs)
    socket.on('error', ({ code = '' }: NodeJS.ErrnoException) => end(!GONE.includes(code)))
    socket.on('close', () => end(false))
    socket.once('data', () => end(true))
    socket.write(SSL_REQUEST)
  })
}
