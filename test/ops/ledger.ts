import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Answer, Client, RequestOptions } from '../helpers/client.ts'
import { uniqueName } from '../helpers/fixtures.ts'

/** How long a caller waits after a request that was refused. */
const PAUSE_MS = 25
const CHANGES = 3
const CREDENTIALS = '/api/v1/app-credentials'

interface Entry {
  name: string
  /** Undefined while nobody knows whether it was made. */
  id: string | undefined
  /** What the last acknowledged change set both fields to. */
  value: string
  /** What changes since then would have set, of which nobody knows whether they were made. */
  inDoubt: string[]
}

type Request = [client: Client, method: string, path: string, body?: object, options?: RequestOptions]

/** What happened to the requests to one replica so far. */
export interface Account {
  acknowledged: number
  /** Answered 503. */
  refused: number
  slowestMs: number
  /** The request that took so long, and when it was sent. */
  slowest: string
  /** How often it said that it was not ready. */
  unready: number
  /** When acknowledged changes were sent and answered. */
  writes: { sentAt: number; answeredAt: number }[]
}

/**
 * Callers of several replicas, who write down what was acknowledged. Each creates, changes and reveals
 * credentials; one revokes tokens and sessions, and a load balancer asks who is ready. `faults` has what must
 * never be, in words.
 */
export class Ledger {
  readonly faults: string[] = []
  /** One for each replica, in their order. */
  readonly accounts: Account[]
  readonly #replicas: readonly Client[]
  readonly #entries: Entry[] = []
  readonly #revoked: Client[] = []
  readonly #callers: Promise<void>[]
  #isRunning = true

  /** Starts, until the end of the test at the latest. `replicas` are the same person at each replica. */
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

  /** One replica after the other, as `index` grows. */
  #replica(index: number): Client {
    return this.#replicas[index % this.#replicas.length]!
  }

  /** Ends the load, and compares what was acknowledged with what the replicas answer. */
  async stop(): Promise<void> {
    await this.#halt()
    const listed = await this.#listAll()
    for (const { name, id } of this.#entries) {
      const ids = listed.get(name) ?? []
      if (ids.length > 1) this.faults.push(`${name} is there ${ids.length} times`)
      if (id && ids[0] !== id) this.faults.push(`${name} was created and is lost`)
    }
    for (const [index, entry] of this.#entries.entries()) {
      if (entry.id) await this.#compare(this.#replica(index), entry)
    }
    for (const caller of this.#revoked) {
      for (const replica of this.#replicas) {
        const { status } = await at(replica, caller).get(`${CREDENTIALS}?pageSize=1`)
        if (status !== 401) this.faults.push(`somebody revoked is answered ${status} at the end`)
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

  /** Creates and changes at one replica, and reads at the other one what that one has to know by then. */
  async #write(client: Client, reader: Client): Promise<void> {
    while (this.#isRunning) {
      const entry: Entry = { name: uniqueName('ledger'), id: undefined, value: '0', inDoubt: [] }
      this.#entries.push(entry)
      const body = {
        credentialName: entry.name,
        credentialType: 'basic-auth',
        values: { username: '0', password: '0' }
      }
      // With a key, whoever repeats a create that was made after all gets its answer.
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

  /** Asks whether the replica is ready, as a load balancer does. */
  async #watch(replica: Client, account: Account): Promise<void> {
    for (; this.#isRunning; await sleep(200)) {
      if (!(await this.#ask(replica, 'GET', '/readyz'))) account.unready++
    }
  }

  /** Reveals the credential: the last acknowledged change is there, or a later one. */
  async #compare(client: Client, { id, name, value, inDoubt }: Entry): Promise<void> {
    const shown = await this.#ask(client, 'POST', `${CREDENTIALS}/${id}/reveal`, {})
    if (!shown || !this.#expect(shown, [200], `a reveal of ${name}`)) return
    const [username, password] = shown.json.keys.map(({ keyValue }: { keyValue: string }) => keyValue)
    if (username !== password) this.faults.push(`${name} is torn: ${username} and ${password}`)
    if (![value, ...inDoubt].includes(username))
      this.faults.push(`${name} is ${username}, and ${value} was acknowledged (in doubt: ${inDoubt})`)
  }

  /** Makes tokens and sessions and ends them at one replica after the other; all refuse them from then on. */
  async #revoke(): Promise<void> {
    for (let count = 0; this.#isRunning; count++) {
      const by = this.#replica(count)
      // A sign-in takes the time of a hundred other requests.
      const made = await (count % 4 === 0 ? this.#newSession(by) : this.#newToken(by))
      if (!made) continue
      for (const replica of this.#replicas) {
        const used = await this.#insist(at(replica, made.caller), 'GET', `${CREDENTIALS}?pageSize=1`)
        if (used) this.#expect(used, [200], 'a new token or session')
      }
      // It may have ended with a request that was refused.
      const ended = await this.#insist(made.endsBy, 'DELETE', made.path)
      if (!ended || !this.#expect(ended, [200, 401, 404], 'a revocation')) continue
      this.#revoked.push(made.caller)
      for (const caller of this.#revoked.slice(-5)) {
        for (const replica of this.#replicas) {
          const refused = await this.#ask(at(replica, caller), 'GET', `${CREDENTIALS}?pageSize=1`)
          if (refused) this.#expect(refused, [401], 'somebody revoked')
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
    this.faults.push(`${what} at ${new Date().toISOString()} is answered ${status} ${text}`)
    return false
  }

  /** Repeats a request until it is not refused. Returns undefined if the load ends before. */
  async #insist(...request: Request): Promise<Answer | undefined> {
    while (this.#isRunning) {
      const answer = await this.#ask(...request)
      if (answer) return answer
    }
    return undefined
  }

  /** Sends a request, and returns undefined after a pause if it is refused by 503. */
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

/** The caller, at this replica. */
function at(replica: Client, { cookie, bearer }: Client): Client {
  return Object.assign(replica.other(), { cookie, bearer })
}

/** How long after `time` the first change was acknowledged that was sent after it. */
export function recoveryOf({ writes }: Account, time: number): number {
  const first = writes.find(({ sentAt }) => sentAt >= time)
  return first ? first.answeredAt - time : Number.POSITIVE_INFINITY
}
