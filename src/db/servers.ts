import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, type ConnectionOptions, type ServerOptions } from './connection.ts'
import { REPLACED } from './errors.ts'

/** The head start of each server before the next one is tried too, in milliseconds. */
const HEAD_START_MS = 300
/** The time limit of a probe of another server, in milliseconds. */
const PROBE_MS = 2_000

type Options = Omit<ConnectionOptions, 'server' | 'withTimeline' | 'onEnd'>

export interface Opened {
  connection: Connection
  /** The index of its server. */
  server: number
}

/** The servers of a database. One at a time accepts writes. */
export class Servers {
  readonly #servers: readonly ServerOptions[]
  readonly #options: Options
  /** The server that took the last connection. */
  #last = 0
  /** The latest timeline of any server. */
  #timeline = 0

  constructor(servers: readonly ServerOptions[], options: Options) {
    this.#servers = servers
    this.#options = options
  }

  /**
   * Opens a connection to the first server that accepts writes, starting with the one that last did. Tries
   * the next server at once if one fails, and after `HEAD_START_MS` if one does not respond. Meanwhile tries
   * the failed ones again: one of them may be promoted. Throws the error of the server, or NoServer if there
   * are several.
   */
  async open(onEnd: (error: Error) => void): Promise<Opened> {
    const stop = new AbortController()
    const { signal } = stop
    const before = this.#last
    const failures = new Map<number, Error>()
    let opened: Opened | undefined
    const attempt = async (server: number, onFailure: () => void): Promise<Opened> => {
      for (;;) {
        try {
          const connection = await this.#connect(server, { onEnd }, signal)
          opened ??= { connection, server }
          if (opened.connection !== connection) connection.destroy()
          return opened
        } catch (error) {
          failures.set(server, error as Error)
          onFailure()
          if (failures.size === this.#servers.length) throw error
          await sleep(HEAD_START_MS, undefined, { signal })
        }
      }
    }
    try {
      const attempts: Promise<Opened>[] = []
      for (let i = 0; i < this.#servers.length && !opened; i++) {
        const { promise: failed, resolve: onFailure } = Promise.withResolvers<void>()
        attempts.push(attempt((before + i) % this.#servers.length, onFailure))
        const headStart = sleep(HEAD_START_MS, undefined, { signal }).catch(() => {})
        await Promise.race([Promise.any(attempts), failed, headStart]).catch(() => {})
      }
      const first = await Promise.any(attempts)
      if (this.#last === before) this.#last = first.server
      return first
    } catch {
      const errors = [...failures.values()]
      throw errors.length === 1 ? errors[0] : new NoServer(errors)
    } finally {
      stop.abort()
    }
  }

  /**
   * Connects to the servers that are not in use. Returns true if one of them accepts writes on a later
   * timeline: it has replaced the server in use, which does not know that and returns outdated data.
   */
  async findSuccessor(signal: AbortSignal): Promise<boolean> {
    const before = this.#timeline
    const others = [...this.#servers.keys()].filter((server) => server !== this.#last)
    const probe = async (server: number) => {
      const options = { timeoutMs: PROBE_MS, onEnd() {} }
      const connection = await this.#connect(server, options, signal)
      connection.destroy()
    }
    await Promise.allSettled(others.map(probe))
    return this.#timeline > before
  }

  /** True if a server was promoted since this connection was opened. */
  isOutdated({ timeline }: Connection): boolean {
    return timeline < this.#timeline
  }

  async #connect(
    server: number,
    options: Partial<ConnectionOptions> & Pick<ConnectionOptions, 'onEnd'>,
    signal: AbortSignal
  ): Promise<Connection> {
    const withTimeline = this.#servers.length > 1
    const connection = await Connection.open(
      { ...this.#options, withTimeline, server: this.#servers[server]!, ...options },
      signal
    )
    if (connection.timeline > this.#timeline) {
      this.#timeline = connection.timeline
      this.#last = server
    }
    if (!this.isOutdated(connection)) return connection
    connection.destroy()
    throw new Error(REPLACED)
  }
}

/** Thrown if none of several servers can be used. */
class NoServer extends AggregateError {
  constructor(errors: Error[]) {
    super(errors, `no server of the database can be used: ${errors.map(({ message }) => message).join('; ')}`)
    this.name = 'NoServer'
  }
}
