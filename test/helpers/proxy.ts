import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import pg from 'pg'
import type { Test } from 'tap'

export interface Proxy {
  /** The URL of the database through the proxy. */
  url: string
  /** The number of open connections through the proxy. */
  readonly open: number
  /** Resets all connections, as a server that goes down does. New connections still pass. */
  cut(): void
  /** Resets all connections, and new ones at once, until `restore`. */
  refuse(): void
  /** Stops all traffic on existing connections. Until `restore`, new ones are accepted but get no data. */
  stall(): void
  /** Stalls only new connections, until `restore`. */
  stallNew(): void
  /** Lets new connections pass again. Stalled connections stay stalled, as if their server had vanished. */
  restore(): void
  /** Directs new connections to this server, but to the same database. Existing connections stay. */
  moveTo(databaseUrl: string): void
}

/** Starts a proxy between the service and its Postgres that a test can cut; closed when the test ends. */
export async function startProxy(t: Test, databaseUrl: string): Promise<Proxy> {
  const { user, password, database, ...first } = new pg.Client({ connectionString: databaseUrl })
  let { host, port } = first
  const toServer = () =>
    host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect({ host, port, noDelay: true })
  const pairs = new Set<{ near: Socket; far: Socket | undefined }>()
  let mode: 'pass' | 'refuse' | 'stall' = 'pass'

  const server = createServer({ noDelay: true }, (near) => {
    if (mode === 'refuse') return near.resetAndDestroy()
    const pair = { near, far: mode === 'pass' ? toServer() : undefined }
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      near.destroy()
      pair.far?.destroy()
    }
    for (const socket of [near, pair.far]) socket?.on('error', end).on('close', end)
    if (pair.far) near.pipe(pair.far).pipe(near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const { near } of pairs) near.resetAndDestroy()
  }
  t.teardown(() => {
    cut()
    server.close()
  })
  const secret = password ? `:${encodeURIComponent(password)}` : ''
  return {
    url: `postgresql://${user}${secret}@127.0.0.1:${(server.address() as AddressInfo).port}/${database}`,
    get open() {
      return pairs.size
    },
    cut,
    refuse() {
      mode = 'refuse'
      cut()
    },
    stall() {
      mode = 'stall'
      for (const { near, far } of pairs) {
        near.unpipe().pause()
        far?.unpipe().pause()
      }
    },
    stallNew() {
      mode = 'stall'
    },
    restore() {
      mode = 'pass'
    },
    moveTo(databaseUrl) {
      ;({ host, port } = new pg.Client({ connectionString: databaseUrl }))
    }
  }
}
