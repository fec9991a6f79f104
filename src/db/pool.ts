import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from './connection.ts'
import { CannotConnect, isShortOfConnections, isStaleStatement, unavailability } from './errors.ts'
import { UnsupportedPooler } from './server-check.ts'
import type { Servers } from './servers.ts'
import { compareNeed, KINDS, type Kind, tooLate, type Use, usesOf } from './uses.ts'

/** The longest use of a connection, so that a changed address is followed. */
const MAX_LIFETIME_MS = 300_000
const MAX_IDLE_MS = 30_000
/** How often old, idle and silent connections are checked. */
const SWEEP_MS = 1_000
/** After this time without a response to a statement, the server is probed. */
const MAX_SILENCE_MS = 1_000
/** The time limit of that probe. A server that is only slow responds at once. */
const SIGN_OF_LIFE_MS = 2_000
const SLOW_OPENING_MS = 300
/** The pause before another attempt to open a connection. */
const RETRY_MS = 250
/** How long `end` waits for the server to close connections before it drops them. */
const CLOSE_TIMEOUT_MS = 2_000

interface Member {
  readonly connection: Connection
  readonly server: number
  readonly generation: number
  readonly openedAt: number
  usedAt: number
  /** The kind of work that used the connection last. */
  kind: Kind
}

const ENDED = 'Cannot use a pool after it was ended'

/** A connection for exclusive use until it is released. */
export interface Lease {
  readonly connection: Connection
  release(): void
}

export interface PoolOptions {
  connections: number
  /** How long a caller waits for a connection. */
  timeoutMs: number
  /** Called when a connection ends unexpectedly. */
  onError(error: Error): void
}

/**
 * The connections of a replica. Each kind of work has a share of them, and prefers connections that it has
 * used before, whose statements are prepared. While the server allows fewer connections than the sum of the
 * shares, every connection serves every kind, and the kind that uses the fewest is next: all are served, even
 * on one connection.
 */
export class ConnectionPool {
  readonly #servers: Servers
  readonly #options: PoolOptions
  readonly #uses: Readonly<Record<Kind, Use<Lease>>>
  /** All open connections, including those that are closing. */
  readonly #open = new Set<Connection>()
  readonly #members = new Set<Member>()
  readonly #idle: Member[] = []
  readonly #sweeper: NodeJS.Timeout
  #opening = 0
  /** Slow openings. While there are any, callers get connections of another kind. */
  readonly #slow = new Set<NodeJS.Timeout>()
  #generation = 0
  /** Why the last connection could not be opened. Until one can, one is tried at a time. */
  #refusal: Error | undefined
  #retry: NodeJS.Timeout | undefined
  #isProbing = false
  #isLooking = false
  readonly #stop = new AbortController()
  #ended: Promise<void> | undefined

  constructor(servers: Servers, options: PoolOptions) {
    this.#servers = servers
    this.#options = options
    this.#uses = usesOf(options.connections)
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref()
  }

  /** Waits for a connection. The caller must release it. */
  async connect(kind: Kind): Promise<Lease> {
    if (this.#ended) throw new Error(ENDED)
    const use = this.#uses[kind]
    const idle = use.waiting.length === 0 && use.inUse < use.share ? this.#takeIdle(kind) : undefined
    if (idle) return this.#lend(idle, kind)
    const lease = use.waiting.wait(this.#options.timeoutMs, () => this.#refusal ?? tooLate(use))
    this.#serve()
    return lease
  }

  /** Throws if no connection can be opened, or if its server does not respond or accepts no writes. */
  async check(): Promise<void> {
    const { connection, release } = await this.connect('reads')
    await connection.check().finally(release)
  }

  /**
   * Runs one read. If its prepared statement is stale because a migration changed its tables, closes the
   * connection and tries another one.
   */
  async query<R>(kind: Kind, text: string, values: readonly unknown[]): Promise<R[]> {
    for (let attempt = 0; ; attempt++) {
      const { connection, release } = await this.connect(kind)
      try {
        return (await connection.send(text, values)).rows as R[]
      } catch (error) {
        if (!isStaleStatement(error) || attempt === this.#options.connections) throw error
      } finally {
        release()
      }
    }
  }

  /** Replaces all connections: closes idle ones now, and others after their statement or transaction. */
  renew(): void {
    this.#generation++
    for (const member of this.#idle.splice(0)) this.#close(member)
    this.#serve()
  }

  /** Closes all connections. Drops those that an unresponsive server keeps open. */
  end(): Promise<void> {
    this.#ended ??= this.#end()
    return this.#ended
  }

  async #end(): Promise<void> {
    clearInterval(this.#sweeper)
    clearTimeout(this.#retry)
    this.#stop.abort()
    for (const { waiting } of Object.values(this.#uses)) waiting.rejectAll(new Error(ENDED))
    for (const member of this.#idle.splice(0)) this.#close(member)
    const deadline = performance.now() + CLOSE_TIMEOUT_MS
    for (let isLate = false; this.#open.size > 0 || (this.#opening > 0 && !isLate); await sleep(2)) {
      isLate = performance.now() > deadline
      if (isLate) for (const connection of this.#open) connection.destroy()
    }
  }

  /** Gives idle connections to waiting callers, and opens more if possible. */
  #serve(): void {
    const mayHaveOne = ({ waiting, inUse, share }: Use<Lease>) => waiting.length > 0 && inUse < share
    for (let lent = true; lent; ) {
      lent = KINDS.filter((kind) => mayHaveOne(this.#uses[kind]))
        .sort((a, b) => compareNeed(this.#uses[a], this.#uses[b]))
        .some((kind) => {
          const member = this.#takeIdle(kind)
          if (member) this.#uses[kind].waiting.resolveFirst(this.#lend(member, kind))
          else this.#openFor(kind)
          return member !== undefined
        })
    }
  }

  /** Takes an idle connection of this kind or, if no more can be opened, of another kind. */
  #takeIdle(kind: Kind): Member | undefined {
    const own = this.#idle.findLastIndex((member) => member.kind === kind)
    const index = own < 0 && (this.#slow.size > 0 || !this.#mayOpen()) ? this.#idle.length - 1 : own
    return index < 0 ? undefined : this.#idle.splice(index, 1)[0]
  }

  #lend(member: Member, kind: Kind): Lease {
    const use = this.#uses[kind]
    use.inUse++
    member.kind = kind
    return {
      connection: member.connection,
      release: () => {
        use.inUse--
        this.#takeBack(member)
      }
    }
  }

  #takeBack(member: Member): void {
    const now = performance.now()
    member.usedAt = now
    const isOld = member.generation !== this.#generation || now - member.openedAt > MAX_LIFETIME_MS
    if (isOld || member.connection.broken || this.#ended) this.#close(member)
    else this.#idle.push(member)
    this.#serve()
  }

  #mayOpen(): boolean {
    if (this.#ended || this.#retry || (this.#refusal && this.#opening > 0)) return false
    return this.#members.size + this.#opening < this.#options.connections
  }

  #openFor(kind: Kind): void {
    const use = this.#uses[kind]
    const wanted = Math.min(use.waiting.length, use.share - use.inUse) - use.opening
    for (let i = 0; i < wanted && this.#mayOpen(); i++) void this.#openOne(kind, use)
  }

  async #openOne(kind: Kind, use: Use<Lease>): Promise<void> {
    const startedAt = performance.now()
    const generation = this.#generation
    let member: Member | undefined
    this.#opening++
    use.opening++
    const slow = setTimeout(() => {
      this.#slow.add(slow)
      this.#serve()
    }, SLOW_OPENING_MS)
    try {
      const { connection, server } = await this.#servers.open((error) => {
        this.#options.onError(error)
        if (member) this.#forget(member)
      })
      const now = performance.now()
      member = { connection, server, generation, openedAt: now, usedAt: now, kind }
      this.#admit(member)
    } catch (error) {
      this.#refusal = unavailability(error) ? (error as Error) : new CannotConnect(error as Error)
      // Waiting requests can still get an open connection, or a new one when the server accepts it.
      const mayWait = this.#members.size > 0 && !(error instanceof UnsupportedPooler)
      if (mayWait || isShortOfConnections(error)) this.#retryLater()
      else for (const { waiting } of Object.values(this.#uses)) waiting.rejectAll(this.#refusal, startedAt)
    } finally {
      clearTimeout(slow)
      this.#slow.delete(slow)
      this.#opening--
      use.opening--
      this.#serve()
    }
  }

  #admit(member: Member): void {
    this.#refusal = undefined
    this.#open.add(member.connection)
    this.#members.add(member)
    if (this.#ended || member.generation !== this.#generation) {
      this.#close(member)
      return
    }
    this.#idle.push(member)
    this.#dropOutdated()
  }

  /** Closes connections to a server that was replaced, which returns outdated data. */
  #dropOutdated(): void {
    for (const member of [...this.#members]) {
      if (!this.#servers.isOutdated(member.connection)) continue
      member.connection.destroy()
      this.#forget(member)
    }
  }

  /** Leaves a server that was replaced without knowing it, such as one that is cut off from its cluster. */
  async #followSuccessor(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    const isFound = await this.#servers.findSuccessor(this.#stop.signal)
    this.#isLooking = false
    if (isFound) this.#dropOutdated()
    this.#serve()
  }

  #retryLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined
      this.#serve()
    }, RETRY_MS).unref()
  }

  /** A connection that ends while it is in use is closed when it is released. */
  #forget(member: Member): void {
    const index = this.#idle.indexOf(member)
    if (index < 0) return
    this.#idle.splice(index, 1)
    this.#close(member)
  }

  #close(member: Member): void {
    this.#members.delete(member)
    void member.connection.close().then(() => this.#open.delete(member.connection))
  }

  /** Keeps a connection of each kind: opening another may be impossible later. */
  #sweep(): void {
    const now = performance.now()
    for (const member of [...this.#idle]) {
      const isIdle = now - member.usedAt > MAX_IDLE_MS && this.#members.size > KINDS.length
      if (isIdle || now - member.openedAt > MAX_LIFETIME_MS) this.#forget(member)
    }
    const silent = [...this.#members].find(({ connection }) => connection.silence > MAX_SILENCE_MS)
    if (silent) void this.#dropIfDead(silent)
    void this.#followSuccessor()
  }

  /** Drops the connections to a server that no longer responds, before their statements time out. */
  async #dropIfDead({ connection, server }: Member): Promise<void> {
    if (this.#isProbing) return
    this.#isProbing = true
    const before = [...this.#members].filter((member) => member.server === server)
    const isAlive = await connection.isServerAlive(SIGN_OF_LIFE_MS)
    this.#isProbing = false
    if (!isAlive) for (const member of before) member.connection.destroy()
  }
}
