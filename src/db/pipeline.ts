import type { Socket } from 'node:net'
import pg from 'pg'
import { endsConnection, isStaleStatement } from './errors.ts'
import { run } from './query.ts'

interface Lane {
  client: Promise<pg.Client>
  pending: number
  /** Holds what is sent in one turn of the event loop back to its end, so that it goes out in one write. */
  gather(): void
  /** Has the next statement open another connection. */
  forget(): void
}

/**
 * A few connections that many requests share: statements are sent without waiting for earlier answers, and
 * Postgres answers in order. For single reads only, which never wait for a row lock, so that none holds up
 * the others for longer than it runs.
 */
export class Pipeline {
  readonly #options: pg.ClientConfig
  readonly #lanes: (Lane | undefined)[]
  readonly #onError: (error: Error) => void
  #ended = false

  constructor(options: pg.ClientConfig, lanes: number, onError: (error: Error) => void) {
    this.#options = { ...options, pipeline: true } as pg.ClientConfig
    this.#lanes = new Array(lanes).fill(undefined)
    this.#onError = onError
  }

  /** Sends the statement, once more over another connection when this one's prepared statement is stale. */
  async query(query: pg.QueryConfig): Promise<pg.QueryResult> {
    try {
      return await this.#send(query)
    } catch (error) {
      if (!isStaleStatement(error)) throw error
      return this.#send(query)
    }
  }

  async #send(query: pg.QueryConfig): Promise<pg.QueryResult> {
    const lane = this.#shortest()
    lane.pending++
    try {
      const client = await lane.client
      lane.gather()
      return await run(client, query)
    } catch (error) {
      if (endsConnection(error)) lane.forget()
      throw error
    } finally {
      lane.pending--
    }
  }

  async end() {
    this.#ended = true
    const clients = await Promise.allSettled(this.#lanes.map((lane) => lane?.client))
    await Promise.allSettled(
      clients.map((client) => (client.status === 'fulfilled' ? client.value?.end() : undefined))
    )
  }

  #shortest(): Lane {
    if (this.#ended) throw new Error('the pipeline is closed')
    let best = 0
    for (let i = 0; i < this.#lanes.length; i++) {
      const lane = this.#lanes[i]
      if (!lane || lane.pending === 0) return this.#lane(i)
      if (lane.pending < this.#lanes[best]!.pending) best = i
    }
    return this.#lane(best)
  }

  #lane(index: number): Lane {
    const existing = this.#lanes[index]
    if (existing) return existing
    const client = new pg.Client(this.#options)
    // A lane that cannot connect, whose connection ends, or is not to be used again, is forgotten; the next statement
    // opens another. What is under way on it still gets its answer.
    const forget = () => {
      if (this.#lanes[index] !== lane) return
      this.#lanes[index] = undefined
      lane.client.then((client) => client.end()).catch(() => {})
    }
    // Known once it is connected: TLS puts a stream of its own in the place of the first.
    let stream: Socket | undefined
    let gathering = false
    const release = () => {
      gathering = false
      stream!.uncork()
    }
    const gather = () => {
      if (gathering) return
      gathering = true
      stream ??= (client as unknown as { connection: { stream: Socket } }).connection.stream
      stream.cork()
      process.nextTick(release)
    }
    const lane: Lane = { pending: 0, client: client.connect().then(() => client), forget, gather }
    client.on('error', (error) => {
      forget()
      this.#onError(error)
    })
    client.on('end', forget)
    lane.client.catch(forget)
    this.#lanes[index] = lane
    return lane
  }
}
