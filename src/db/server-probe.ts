import { connect } from 'node:net'

/** The protocol's request for TLS. Servers and poolers respond with one byte, without authentication. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

/** Errors of the server or the network. Others are local, such as those of DNS. */
const GONE = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'ENOENT']

/**
 * Returns false if the server does not respond on a new connection. This needs no session, so none has to be
 * free.
 */
export function isServerResponding(host: string, port: number, timeoutMs: number): Promise<boolean> {
  const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect({ host, port })
  return new Promise((resolve) => {
    const end = (alive: boolean) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(alive)
    }
    // If this process was busy, a response may have arrived that has not been read yet.
    const timer = setTimeout(() => setImmediate(() => end(false)), timeoutMs)
    socket.on('error', ({ code = '' }: NodeJS.ErrnoException) => end(!GONE.includes(code)))
    socket.on('close', () => end(false))
    socket.once('data', () => end(true))
    socket.write(SSL_REQUEST)
  })
}
