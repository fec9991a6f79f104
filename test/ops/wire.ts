import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A way over TCP to a port of 127.0.0.1 that a test can cut as a network does. */
export interface Wire {
  port: number
  /** Nothing passes any more in either direction, not even the end of a connection. New ones hear nothing. */
  cut(): void
  /** Everything passes again, and first what was sent in the meantime. */
  mend(): void
}

interface Connection {
  near: Socket
  /** Undefined until the wire lets it through. */
  far?: Socket
}

/** Starts a wire to the port `target`; gone when the test ends. */
export async function startWire(t: Test, target: number): Promise<Wire> {
  const connections = new Set<Connection>()
  let isCut = false

  const end = (connection: Connection) => {
    connections.delete(connection)
    connection.near.destroy()
    connection.far?.destroy()
  }
  const watch = (socket: Socket, connection: Connection) =>
    socket.on('error', () => {}).on('close', () => isCut || end(connection))
  const pass = (connection: Connection) => {
    const { near, far } = connection
    if (near.destroyed || far?.destroyed) return end(connection)
    if (!far) {
      connection.far = connect({ host: '127.0.0.1', port: target, noDelay: true })
      watch(connection.far, connection)
    }
    near.pipe(connection.far!).pipe(near)
  }

  const server = createServer({ noDelay: true, pauseOnConnect: true }, (near) => {
    const connection = { near }
    connections.add(connection)
    watch(near, connection)
    if (!isCut) pass(connection)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const connection of connections) end(connection)
  })
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      isCut = true
      for (const { near, far } of connections) {
        near.unpipe().pause()
        far?.unpipe().pause()
      }
    },
    mend() {
      isCut = false
      for (const connection of connections) pass(connection)
    }
  }
}
