import { Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import copyStreams from 'pg-copy-streams'
import { endsConnection, isDatabaseError, isReadOnly, READ_ONLY, STANDBY } from './errors.ts'
import { checkServer, explained, type Limits, requireWritable } from './server-check.ts'
import { isServerResponding } from './server-probe.ts'

/** The options of a `pg.Client` for one server. */
export type ServerOptions = Omit<pg.ClientConfig, keyof Limits | 'connectionTimeoutMillis'>

export interface ConnectionOptions {
  server: ServerOptions
  limits: Limits
  /** True if the connection must ask for the timeline of its server. */
  withTimeline: boolean
  /** The longest that opening may take, in milliseconds. */
  timeoutMs: number
  /** Called when the connection has ended, or when its server does not accept writes. */
  onEnd(error: Error): void
  onReadOnly(): void
}

export interface CopyOut {
  bytes: AsyncIterable<Buffer>
  /** The number of rows, after the last bytes. */
  rows(): number
}

/** Bounds the memory for names. The text of every statement is constant: lists are array parameters. */
const MAX_NAMES = 1_000
const names = new Map<string, string>()

/** Returns the name of a prepared data statement, or undefined if the statement is sent without a name. */
function statementName(text: string): string | undefined {
  const known = names.get(text)
  if (known !== undefined) return known
  if (!/^(select|insert|update|delete|with)\b/.test(text) || names.size >= MAX_NAMES) return undefined
  const name = `latchkey_${names.size}`
  names.set(text, name)
  return name
}

/**
 * A connection to a server that accepts writes, as libpq opens with `target_session_attrs=read-write`. It
 * prepares data statements by name. When its server becomes a standby or read-only, every statement fails: a
 * server that lags behind would still accept a session that has ended.
 */
export class Connection {
  readonly #client: pg.Client
  readonly #socket = new Socket()
  readonly #onReadOnly: () => void
  #processId = 0
  #timeline = 0
  #unwritable: string | undefined
  #broken = false
  #sentAt: number | undefined

  /** Opens a connection. Throws if its server accepts no writes, after `timeoutMs`, or on `signal`. */
  static async open(options: ConnectionOptions, signal: AbortSignal): Promise<Connection> {
    const connection = new Connection(options)
    const giveUp = () => connection.#socket.destroy(new Error('timeout exceeded when trying to connect'))
    const timer = setTimeout(giveUp, options.timeoutMs)
    signal.addEventListener('abort', giveUp)
    try {
      signal.throwIfAborted()
      await connection.#client.connect()
      connection.#refuseIfUnwritable()
      await checkServer((query) => connection.#client.query(query), options.limits, connection.#processId)
      if (options.withTimeline) connection.#timeline = await connection.#askTimeline()
      return connection
    } catch (error) {
      connection.destroy()
      throw explained(error)
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', giveUp)
    }
  }

  private constructor({ server, onEnd, onReadOnly }: ConnectionOptions) {
    this.#client = new pg.Client({ ...server, stream: () => this.#socket })
    this.#onReadOnly = onReadOnly
    this.#client.on('error', (error) => {
      this.#broken = true
      onEnd(error)
    })
    const { connection } = this.#client
    connection.on('backendKeyData', (message: { processID: number }) => {
      this.#processId = message.processID
    })
    // Postgres 14 and later report both on their own. Poolers do not forward them.
    connection.on('parameterStatus', (status: { parameterName: string; parameterValue: string }) => {
      if (status.parameterValue !== 'on') return
      if (status.parameterName === 'in_hot_standby') this.#unwritable = STANDBY
      if (status.parameterName === 'default_transaction_read_only') this.#unwritable = READ_ONLY
    })
  }

  /** The timeline, which each promotion in a cluster increments. 0 if it is unknown. */
  get timeline(): number {
    return this.#timeline
  }

  get broken(): boolean {
    return this.#broken || this.#unwritable !== undefined
  }

  async send(text: string, values: readonly unknown[]): Promise<pg.QueryResult> {
    const name = statementName(text)
    try {
      const result = await this.#query({ ...(name && { name }), text, values: values as unknown[] })
      this.#refuseIfUnwritable()
      return result
    } catch (error) {
      this.#broken ||= endsConnection(error)
      if (isReadOnly(error)) this.#onReadOnly()
      throw error
    }
  }

  async #query(query: pg.QueryConfig<unknown[]>): Promise<pg.QueryResult> {
    this.#sentAt = performance.now()
    try {
      return await this.#client.query(query)
    } finally {
      this.#sentAt = undefined
    }
  }

  /** Runs `COPY … TO STDOUT`. An error, or a reader who stops early, ends the connection. */
  copyOut(text: string): CopyOut {
    const rows = this.#client.query(copyStreams.to(text))
    return { bytes: this.#endingIfIncomplete(rows), rows: () => rows.rowCount }
  }

  async *#endingIfIncomplete(rows: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let isComplete = false
    try {
      yield* rows
      isComplete = true
    } finally {
      if (!isComplete) this.#drop()
    }
  }

  /** Runs `COPY … FROM STDIN` and returns the number of rows. An error ends the connection. */
  async copyIn(text: string, rows: AsyncIterable<Buffer>): Promise<number> {
    const target = this.#client.query(copyStreams.from(text))
    try {
      await pipeline(rows, target)
      return target.rowCount
    } catch (error) {
      this.#drop()
      throw error
    }
  }

  #drop(): void {
    this.#broken = true
    this.destroy()
  }

  /** The time since a statement was sent that has had no response, in milliseconds. */
  get silence(): number {
    return this.#sentAt === undefined ? 0 : performance.now() - this.#sentAt
  }

  /** Returns true if the server responds on a new connection. */
  isServerAlive(timeoutMs: number): Promise<boolean> {
    // The host name may have changed its address.
    const { remoteAddress = this.#client.host, remotePort = this.#client.port } = this.#socket
    return isServerResponding(remoteAddress, remotePort, timeoutMs)
  }

  /** Throws if the server does not respond, or takes no writes. */
  async check(): Promise<void> {
    try {
      await requireWritable((query) => this.#query(query))
    } catch (error) {
      this.#broken = true
      this.#onReadOnly()
      throw error
    }
  }

  /** Rolls back. Never throws: a connection that cannot roll back is closed, which has the same effect. */
  async rollback() {
    if (!this.#broken) {
      await this.#query({ text: 'rollback' }).catch(() => {
        this.#broken = true
      })
    }
    return { command: 'ROLLBACK' as const, rows: [] }
  }

  /** Resolves when the connection has closed. */
  async close(): Promise<void> {
    await this.#client.end()
  }

  /** Closes the socket without telling the server. */
  destroy(): void {
    this.#socket.destroy()
  }

  async #askTimeline(): Promise<number> {
    try {
      const { rows } = await this.#client.query('select pg_walfile_name(pg_current_wal_lsn()) as file')
      return Number.parseInt(rows[0].file.slice(0, 8), 16)
    } catch (error) {
      // Some services with the Postgres protocol have no timelines.
      if (isDatabaseError(error)) return 0
      throw error
    }
  }

  #refuseIfUnwritable(): void {
    if (this.#unwritable !== undefined) throw new Error(this.#unwritable)
  }
}
