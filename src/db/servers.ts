import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, type ConnectionOptions, type ServerOptions } from './connection.ts'

/** How long one server may keep the next one waiting, in milliseconds. */
const HEAD_START_MS = 300
/** The longest that a server may take to say which timeline it is on. */
const TIMELINE_MS = 2_000

type Options = Omit<ConnectionOptions, 'server' | 'onEnd'>

export interface Opened {
  connection: Connection
  /** The index of its server. */
  server: number
}

/** The servers of a database, of which one takes writes at a time. */
export class Servers {
  readonly #servers: readonly ServerOptions[]
  readonly #options: Options
  /** The server that took the last connection. */
  #last = 0

  constructor(servers: readonly ServerOptions[], options: Options) {
    this.#servers = servers
    this.#options = options
  }

  /**
   * Opens a connection to the first server that takes writes, beginning with the one that did last time. A
   * server that fails hands over to the next at once, and a silent one after a moment. While one is silent,
   * those that failed are tried again: one of them may be promoted. Throws the error of the server, or
   * NoServer if there are several.
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
          const options = { ...this.#options, server: this.#servers[server]!, onEnd }
          const connection = await Connection.open(options, signal)
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
   * Returns a server that takes writes and was promoted later than `current`, or undefined. If there is one,
   * the others of the cluster follow it, and `current` has not heard of it: what it answers is out of date.
   */
  async findSuccessor(current: number): Promise<number | undefined> {
    let successor: number | undefined
    let newest = 0
    for (const [server, timeline] of await this.#timelinesExcept(current))
      if (timeline > newest) [successor, newest] = [server, timeline]
    if (successor === undefined || newest <= (await this.#timelineOf(current))) return undefined
    this.#last = successor
    return successor
  }

  #timelinesExcept(current: number): Promise<[number, number][]> {
    const others = [...this.#servers.keys()].filter((server) => server !== current)
    return Promise.all(
      others.map(async (server): Promise<[number, number]> => [server, await this.#timelineOf(server)])
    )
  }

  /** 0 if the server takes no writes, or does not answer. */
  async #timelineOf(server: number): Promise<number> {
    const options = { ...this.#options, server: this.#servers[server]!, timeoutMs: TIMELINE_MS, onEnd() {} }
    const timeout = AbortSignal.timeout(TIMELINE_MS)
    try {
      const connection = await Connection.open(options, timeout)
      return await connection.timeline().finally(() => connection.destroy())
    } catch {
      return 0
    }
  }
}

/** None of several servers can be used. */
class NoServer extends AggregateError {
  constructor(errors: Error[]) {
    super(errors, `no server of the database can be used: ${errors.map(({ message }) => message).join('; ')}`)
    this.name = 'NoServer'
  }
}
