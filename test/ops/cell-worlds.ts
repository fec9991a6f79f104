import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '../helpers/client.ts'
import { eventually } from '../helpers/eventually.ts'
import { newProject, uniqueName } from '../helpers/fixtures.ts'
import { newToken } from '../helpers/tokens.ts'
import type { Cell } from './cells.ts'

const CREDENTIALS = '/api/v1/app-credentials'
export const PASSWORD = 'correct horse battery'
/** The number of concurrent callers of each cell under load. */
export const CALLERS = 2

/** The users and resources of a cell, created through the router. */
export interface World {
  cell: Cell
  admin: Client
  person: Client
  projectId: string
  credentialId: string
  personal: Client
  machine: Client
}

/** Creates the users and resources of a cell through the router. */
export async function makeWorld(cell: Cell, client: () => Client): Promise<World> {
  const admin = client()
  await until(() => admin.signIn(cell.admin), 200)
  const email = `ann@${cell.name}.example.org`
  const user = await admin.post('/api/v1/users', { email, name: 'Ann', password: PASSWORD, role: 'user' })
  if (user.status !== 201) throw new Error(user.text)
  const person = client()
  await person.signIn({ email, password: PASSWORD })
  const projectId = await newProject(person)
  const made = await person.post(CREDENTIALS, {
    credentialName: 'The same name everywhere',
    credentialType: 'basic-auth',
    projectIds: [projectId],
    values: { username: 'ann', password: `of ${cell.name}` }
  })
  if (made.status !== 201) throw new Error(made.text)
  return {
    cell,
    admin,
    person,
    projectId,
    credentialId: made.json.id,
    personal: await newToken(person, ['credentials:read', 'credentials:write', 'credentials:reveal']),
    machine: await newToken(person, ['credentials:resolve'], { projectId })
  }
}

/** Repeats a request until the response has this status, then sends it once more and returns the response. */
export async function until(send: () => ReturnType<Client['get']>, status: number) {
  // If a replica has stopped, HAProxy closes the reused connections to it, so that clients retry.
  const isThere = () =>
    send().then(
      (answer) => answer.status === status,
      () => false
    )
  await eventually(isThere, `the status is ${status}`, 60_000)
  return send()
}

/** Repeatedly creates credentials and resolves one, and records the responses. */
export class Load {
  readonly world: World
  readonly statuses = new Map<number, number>()
  readonly faults: string[] = []
  /** The names of the credentials whose creation was acknowledged. */
  readonly made = new Set<string>()
  /** The number of requests whose connection closed without a response. */
  cut = 0
  #isRunning = true
  readonly #ended: Promise<unknown>

  constructor(world: World) {
    this.world = world
    this.#ended = Promise.all([this.#repeat(() => this.#create()), this.#repeat(() => this.#resolve())])
  }

  async stop(): Promise<void> {
    this.#isRunning = false
    await this.#ended
  }

  async #repeat(send: () => Promise<number>): Promise<void> {
    for (; this.#isRunning; await sleep(5)) {
      try {
        const status = await send()
        this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
      } catch (error) {
        if ((error as Error).message === 'fetch failed') this.cut++
        else this.faults.push((error as Error).message)
      }
    }
  }

  async #create(): Promise<number> {
    const credentialName = uniqueName('load')
    const body = { credentialName, credentialType: 'basic-auth', values: { username: 'x', password: 'y' } }
    const { status, text } = await this.world.personal.post(CREDENTIALS, body)
    if (status === 201) this.made.add(credentialName)
    else if (status !== 503) this.faults.push(text)
    return status
  }

  async #resolve(): Promise<number> {
    const { machine, projectId, credentialId, cell } = this.world
    const body = { credentials: [{ id: credentialId }] }
    const { status, text, json } = await machine.post(`/api/v1/projects/${projectId}/resolve`, body)
    if (status === 200 && json.results[0].values.password !== `of ${cell.name}`) this.faults.push(text)
    if (status !== 200 && status !== 503) this.faults.push(text)
    return status
  }
}
