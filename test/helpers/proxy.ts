import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import pg from 'pg'
import type { Test } from 'tap'

export interface Proxy {
  /** The database, through the proxy. */
  url: string
  /** How many connections there are through it right now. */
  readonly open: number
  /** Ends all connections, as a server does that goes down; new ones are still let through. */
  cut(): void
  /** Ends all connections and every new one at once, until `restore`. */
  refuse(): void
  /**
   * Nothing passes any more on the connections there are; a new one is taken and hears nothing, until
   * `restore`.
   */
  stall(): void
  /** The same for new connections alone. */
  stallNew(): void
  /** New connections pass again. What was stalled stays so: its server has gone without a word. */
  restore(): void
  /** New connections go to this server; those there are stay where they are. The database is the same. */
  moveTo(databaseUrl: string): void
}

/** A wire between the service and its Postgres that a test can cut; gone when the test ends. */
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
