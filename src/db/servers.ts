import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, type ConnectionOptions, type ServerOptions } from './connection.ts'

/** How long one server may keep the next one waiting, in milliseconds. */
const HEAD_START_MS = 300

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
        attempts.push(attempt((this.#last + i) % this.#servers.length, onFailure))
        const headStart = sleep(HEAD_START_MS, undefined, { signal }).catch(() => {})
        await Promise.race([Promise.any(attempts), failed, headStart]).catch(() => {})
      }
      const first = await Promise.any(attempts)
      this.#last = first.server
      return first
    } catch {
      const errors = [...failures.values()]
      throw errors.length === 1 ? errors[0] : new NoServer(errors)
    } finally {
      stop.abort()
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
