import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Answer, Client, RequestOptions } from '../helpers/client.ts'
import { uniqueName } from '../helpers/fixtures.ts'

/** The pause of a caller after a refused request. */
const PAUSE_MS = 25
const CHANGES = 3
const CREDENTIALS = '/api/v1/app-credentials'

interface Entry {
  name: string
  /** Undefined until the creation is acknowledged. */
  id: string | undefined
  /** The value of both fields after the last acknowledged change. */
  value: string
  /** The values of later changes, which may or may not have been made. */
  inDoubt: string[]
}

type Request = [client: Client, method: string, path: string, body?: object, options?: RequestOptions]

/** The outcome of the requests to one replica so far. */
export interface Account {
  acknowledged: number
  /** Requests that were answered with 503, or failed. */
  refused: number
  slowestMs: number
  /** The slowest request, with its time and response. */
  slowest: string
  /** The number of times that it was not ready. */
  unready: number
  /** When each acknowledged change was sent and answered. */
  writes: { sentAt: number; answeredAt: number }[]
}

/**
 * Sends requests to several replicas, and records what was acknowledged. Callers create, change and reveal
 * credentials; one revokes tokens and sessions, and one per replica polls for readiness, as a load balancer
 * does. `faults` describes each violation of what the service guarantees.
 */
export class Ledger {
  readonly faults: string[] = []
  /** One for each replica, in the same order. */
  readonly accounts: Account[]
  readonly #replicas: readonly Client[]
  readonly #entries: Entry[] = []
  readonly #revoked: Client[] = []
  readonly #callers: Promise<void>[]
  #isRunning = true

  /**
   * Starts the load, which stops when the test ends at the latest. `replicas` are clients of the same user,
   * one for each replica.
   */
  constructor(t: Test, replicas: readonly Client[]) {
    t.teardown(() => this.#halt())
    this.#replicas = replicas
    this.accounts = replicas.map(() => ({
      acknowledged: 0,
      refused: 0,
      slowestMs: 0,
      slowest: '',
      unready: 0,
      writes: []
    }))
    this.#callers = [
      ...replicas.map((replica) => this.#write(replica, replica)),
      ...replicas.map((replica, index) => this.#write(replica, this.#replica(index + 1))),
      ...replicas.map((replica, index) => this.#watch(replica, this.accounts[index]!)),
      this.#revoke()
    ]
  }

  /** Returns the replicas in turn, as `index` grows. */
  #replica(index: number): Client {
    return this.#replicas[index % this.#replicas.length]!
  }

  /** Stops the load, and compares the acknowledged changes with the responses of the replicas. */
  async stop(): Promise<void> {
    await this.#halt()
    const listed = await this.#listAll()
    for (const { name, id } of this.#entries) {
      const ids = listed.get(name) ?? []
      if (ids.length > 1) this.faults.push(`${name} exists ${ids.length} times`)
      if (id && ids[0] !== id) this.faults.push(`${name} was created and then lost`)
    }
    for (const [index, entry] of this.#entries.entries()) {
      if (entry.id) await this.#compare(this.#replica(index), entry)
    }
    for (const caller of this.#revoked) {
      for (const replica of this.#replicas) {
        const { status } = await at(replica, caller).get(`${CREDENTIALS}?pageSize=1`)
        if (status !== 401) this.faults.push(`a revoked caller is answered with ${status} at the end`)
      }
    }
  }

  async #halt(): Promise<void> {
    this.#isRunning = false
    await Promise.all(this.#callers)
  }

  async #listAll(): Promise<Map<string, string[]>> {
    const listed = new Map<string, string[]>()
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { json } = await this.#replicas[0]!.get(
        `${CREDENTIALS}?pageSize=100${cursor && `&cursor=${cursor}`}`
      )
      for (const { credentialName, id } of json.data)
        listed.set(credentialName, [...(listed.get(credentialName) ?? []), id])
      cursor = json.nextCursor
    }
    return listed
  }

  /** Creates and changes credentials at one replica, and checks that another one returns the changes. */
  async #write(client: Client, reader: Client): Promise<void> {
    while (this.#isRunning) {
      const entry: Entry = { name: uniqueName('ledger'), id: undefined, value: '0', inDoubt: [] }
      this.#entries.push(entry)
      const body = {
        credentialName: entry.name,
        credentialType: 'basic-auth',
        values: { username: '0', password: '0' }
      }
      // With an idempotency key, a repeated create returns the first response if the first one succeeded.
      const made = await this.#insist(client, 'POST', CREDENTIALS, body, {
        headers: { 'idempotency-key': entry.name.replace(' ', '-') }
      })
      if (!made || !this.#expect(made, [201], `a create of ${entry.name}`)) continue
      entry.id = made.json.id
      for (let change = 1; change <= CHANGES; change++) {
        const value = String(change)
        entry.inDoubt.push(value)
        const values = { username: value, password: value }
        const changed = await this.#ask(client, 'PUT', `${CREDENTIALS}/${entry.id}`, { values })
        if (changed && this.#expect(changed, [200], `a change of ${entry.name}`)) {
          entry.value = value
          entry.inDoubt = []
        }
      }
      await this.#compare(reader, entry)
    }
  }

  /** Polls for readiness, as a load balancer does. */
  async #watch(replica: Client, account: Account): Promise<void> {
    for (; this.#isRunning; await sleep(200)) {
      if (!(await this.#ask(replica, 'GET', '/readyz'))) account.unready++
    }
  }

  /** Reveals the credential, which must have the values of the last acknowledged change or of a later one. */
  async #compare(client: Client, { id, name, value, inDoubt }: Entry): Promise<void> {
    const shown = await this.#ask(client, 'POST', `${CREDENTIALS}/${id}/reveal`, {})
    if (!shown || !this.#expect(shown, [200], `a reveal of ${name}`)) return
    const [username, password] = shown.json.keys.map(({ keyValue }: { keyValue: string }) => keyValue)
    if (username !== password)
      this.faults.push(`${name} has the fields of two changes: ${username} and ${password}`)
    if (![value, ...inDoubt].includes(username))
      this.faults.push(`${name} is ${username}, and ${value} was acknowledged (in doubt: ${inDoubt})`)
  }

  /** Creates and revokes tokens and sessions, at each replica in turn. All replicas must then refuse them. */
  async #revoke(): Promise<void> {
    for (let count = 0; this.#isRunning; count++) {
      const by = this.#replica(count)
      // A sign-in takes as long as a hundred other requests.
      const made = await (count % 4 === 0 ? this.#newSession(by) : this.#newToken(by))
      if (!made) continue
      for (const replica of this.#replicas) {
        const used = await this.#insist(at(replica, made.caller), 'GET', `${CREDENTIALS}?pageSize=1`)
        if (used) this.#expect(used, [200], 'a new token or session')
      }
      // An earlier attempt may have revoked it, although the response was 503.
      const ended = await this.#insist(made.endsBy, 'DELETE', made.path)
      if (!ended || !this.#expect(ended, [200, 401, 404], 'a revocation')) continue
      this.#revoked.push(made.caller)
      for (const caller of this.#revoked.slice(-5)) {
        for (const replica of this.#replicas) {
          const refused = await this.#ask(at(replica, caller), 'GET', `${CREDENTIALS}?pageSize=1`)
          if (refused) this.#expect(refused, [401], 'a request of a revoked caller')
        }
      }
    }
  }

  async #newToken(client: Client) {
    const body = { name: uniqueName('token'), scopes: ['credentials:read'] }
    const made = await this.#insist(client, 'POST', '/api/v1/access-tokens', body)
    if (!made || !this.#expect(made, [201], 'a new token')) return undefined
    const caller = client.other()
    caller.bearer = made.json.token
    return { caller, endsBy: client, path: `/api/v1/access-tokens/${made.json.id}` }
  }

  async #newSession(client: Client) {
    const caller = client.other()
    const { email, password } = client.person
    const signedIn = await this.#insist(caller, 'POST', '/api/v1/session', { email, password })
    if (!signedIn || !this.#expect(signedIn, [200], 'a sign-in')) return undefined
    const { cookie } = caller
    const endsBy = client.other()
    endsBy.cookie = cookie
    return { caller, endsBy, path: '/api/v1/session' }
  }

  #expect({ status, text }: Answer, expected: number[], what: string): boolean {
    if (expected.includes(status)) return true
    this.faults.push(`${what} at ${new Date().toISOString()} is answered with ${status} ${text}`)
    return false
  }

  /** Repeats a request until it is not refused. Returns undefined if the load stops first. */
  async #insist(...request: Request): Promise<Answer | undefined> {
    while (this.#isRunning) {
      const answer = await this.#ask(...request)
      if (answer) return answer
    }
    return undefined
  }

  /** Sends a request. If it fails or is answered with 503, pauses and returns undefined. */
  async #ask(...[client, method, path, body, options]: Request): Promise<Answer | undefined> {
    const sentAt = Date.now()
    const answer = await client.request(method, path, body, options).catch((error: Error) => error)
    const answeredAt = Date.now()
    const account = this.accounts[this.#replicas.findIndex(({ origin }) => origin === client.origin)]!
    if (answeredAt - sentAt > account.slowestMs) {
      account.slowestMs = answeredAt - sentAt
      const outcome =
        answer instanceof Error ? answer.message : `${answer.status} ${answer.text.slice(0, 300)}`
      account.slowest = `${method} ${path} at ${new Date(sentAt).toISOString()}: ${outcome}`
    }
    if (answer instanceof Error) this.faults.push(`${method} ${path}: ${answer.message}`)
    if (answer instanceof Error || answer.status === 503) {
      account.refused++
      await sleep(PAUSE_MS)
      return undefined
    }
    account.acknowledged++
    if (method !== 'GET' && answer.status < 300) account.writes.push({ sentAt, answeredAt })
    return answer
  }
}

/** Returns a client of this replica for the same caller. */
function at(replica: Client, { cookie, bearer }: Client): Client {
  return Object.assign(replica.other(), { cookie, bearer })
}

/** Returns how long after `time` the first change that was sent since then was acknowledged. */
export function recoveryOf({ writes }: Account, time: number): number {
  const first = writes.find(({ sentAt }) => sentAt >= time)
  return first ? first.answeredAt - time : Number.POSITIVE_INFINITY
}
