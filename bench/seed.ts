import { newCredential, newName, TYPE_NAMES, type Types } from './credentials.ts'
import { type Answer, headerOf, type Request, send } from './load.ts'
import { seededRandom } from './random.ts'

export interface Sizes {
  owners: number
  /** Credentials per owner. */
  each: number
}

export interface Project {
  id: string
  token: string
  /** The index of its first credential among the owner's. */
  from: number
  count: number
}

export interface Owner {
  email: string
  cookie: string
  ids: string[]
  /** A small and a large one. */
  projects: [Project, Project]
}

/** The seeded data. Its sessions and tokens are valid on every copy of the database. */
export interface Dataset {
  types: Types
  owners: Owner[]
}

export const ADMIN = { email: 'admin@bench.example', password: 'correct horse battery staple' }
const HASHING_CONNECTIONS = 4
const CONNECTIONS = 32
/** Shares of an owner's credentials; the rest are in no project. */
const SMALL_PROJECT = { share: 0.1, most: 20 }
const LARGE_PROJECT = { share: 0.5, most: 100 }

export const base = '/api/v1/app-credentials'

/** Creates owners with their data, through the API of a service that was started with ADMIN. */
export async function seed(
  origin: string,
  sizes: Sizes,
  signal: AbortSignal,
  progress: (line: string) => void
): Promise<Dataset> {
  const sendAll = async (requests: Request[], connections: number, readBodies = false): Promise<Answer[]> => {
    const answers = new Array<Answer>(requests.length)
    const onAnswer = (answer: Answer, _: Request, index: number) => {
      answers[index] = answer
    }
    await send(origin, requests, { connections, signal, readBodies, onAnswer })
    return answers
  }
  const signIn = (email: string): Request => post('/api/v1/session', { email, password: ADMIN.password })
  const [signedIn] = await sendAll([signIn(ADMIN.email)], 1)
  const admin = { cookie: cookieOf(signedIn!) }
  const types = await findTypes((request) => sendAll([request], 1, true).then(([answer]) => answer!), admin)

  const emails = Array.from({ length: sizes.owners }, (_, i) => `owner-${i}@bench.example`)
  progress(`${sizes.owners} owners`)
  const users = emails.map((email, i) =>
    post('/api/v1/users', { email, name: `Owner ${i}`, password: ADMIN.password }, admin)
  )
  await sendAll(users, HASHING_CONNECTIONS)
  const cookies = (await sendAll(emails.map(signIn), HASHING_CONNECTIONS)).map(cookieOf)

  progress('projects and tokens')
  const small = Math.min(SMALL_PROJECT.most, Math.ceil(sizes.each * SMALL_PROJECT.share))
  const large = Math.min(LARGE_PROJECT.most, Math.ceil(sizes.each * LARGE_PROJECT.share))
  const newProjects = async (name: string, from: number, count: number): Promise<Project[]> => {
    const projects = cookies.map((cookie) => post('/api/v1/projects', { name }, { cookie }))
    const ids = (await sendAll(projects, CONNECTIONS)).map(idOf)
    const tokens = cookies.map((cookie, i) =>
      post('/api/v1/access-tokens', { name, scopes: ['credentials:resolve'], projectId: ids[i] }, { cookie })
    )
    const answers = await sendAll(tokens, CONNECTIONS, true)
    return ids.map((id, i) => ({ id, token: JSON.parse(answers[i]!.body).token, from, count }))
  }
  const smallProjects = await newProjects('Small', 0, small)
  const largeProjects = await newProjects('Large', small, large)

  const owners: Owner[] = []
  for (const [i, email] of emails.entries()) {
    const owner: Owner = {
      email,
      cookie: cookies[i]!,
      ids: [],
      projects: [smallProjects[i]!, largeProjects[i]!]
    }
    const random = seededRandom(email)
    const requests = Array.from({ length: sizes.each }, (_, index) => {
      const project = owner.projects.find(({ from, count }) => index >= from && index < from + count)
      const body = newCredential(types, index, newName(random, index), random)
      return post(base, { ...body, ...(project && { projectIds: [project.id] }) }, { cookie: owner.cookie })
    })
    owner.ids = (await sendAll(requests, CONNECTIONS)).map(idOf)
    owners.push(owner)
    if (owners.length % 50 === 0) progress(`${owners.length * sizes.each} credentials`)
  }
  return { types, owners }
}

export function post(path: string, body: unknown, headers: Record<string, string> = {}): Request {
  return { method: 'POST', path, body, headers }
}

export function cookieOf(answer: Answer): string {
  return headerOf(answer, 'set-cookie').split(';')[0]!
}

const idOf = (answer: Answer) => headerOf(answer, 'location').split('/').at(-1)!

interface TypePage {
  data: { id: string; typeName: string; fields: { id: string; fieldName: string }[] }[]
}

async function findTypes(
  sendOne: (request: Request) => Promise<Answer>,
  headers: Record<string, string>
): Promise<Types> {
  const path = '/api/v1/credential-types?pageSize=100'
  const { data } = JSON.parse((await sendOne({ method: 'GET', path, headers })).body) as TypePage
  return Object.fromEntries(
    TYPE_NAMES.map((name) => {
      const type = data.find(({ typeName }) => typeName === name)
      if (!type) throw new Error(`the service has no type ${name}`)
      return [name, { id: type.id, fields: Object.fromEntries(type.fields.map((f) => [f.fieldName, f.id])) }]
    })
  )
}
