import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A TCP proxy to a port of 127.0.0.1 that a test can cut, as a network partition does. */
export interface Wire {
  port: number
  /** Stops all traffic in both directions, even the end of a connection. New connections get no data. */
  cut(): void
  /** Resumes all traffic, beginning with what was sent in the meantime. */
  mend(): void
}

interface Connection {
  near: Socket
  /** Undefined until the wire forwards the connection. */
  far?: Socket
}

/** Starts a wire to the port `target`; closed when the test ends. */
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
