import { newCredential, newName, newSecret, WORDS } from './credentials.ts'
import { headerOf, type Request } from './load.ts'
import { type Distribution, type Random, seededRandom, uniform, zipf } from './random.ts'
import { ADMIN, base, cookieOf, type Dataset, type Owner, type Project, post } from './seed.ts'

export const DRAWS = { uniform, zipf } satisfies Record<string, Distribution>
export type DrawName = keyof typeof DRAWS
export type ReferenceName = 'bare' | 'row' | 'joined' | 'insert'

/** The source from which a request is drawn at random. */
interface Draw {
  dataset: Dataset
  random: Random
  owner(): Owner
  /** Returns the index of one of the owner's credentials. */
  index(owner: Owner): number
  below(count: number): number
}

export interface Route {
  name: string
  reference: ReferenceName
  /** The maximum number of connections: with more, requests would only wait for each other. */
  mostConnections?: number
  request(draw: Draw): Request
}

const PAGE_SIZE = 20

const get: Route = {
  name: 'get',
  reference: 'joined',
  request(draw) {
    const owner = draw.owner()
    return read(owner, `/${owner.ids[draw.index(owner)]}`)
  }
}

const list: Route = {
  name: 'list',
  reference: 'joined',
  request(draw) {
    const owner = draw.owner()
    const pages = Math.ceil(owner.ids.length / PAGE_SIZE)
    return { ...read(owner, `?page=${1 + draw.below(pages)}`), isRight: hasItems }
  }
}

const search: Route = {
  name: 'search',
  reference: 'joined',
  request(draw) {
    return read(draw.owner(), `?search=${WORDS[draw.below(WORDS.length)]}`)
  }
}

const byProject: Route = {
  name: 'by-project',
  reference: 'joined',
  request(draw) {
    const owner = draw.owner()
    return { ...read(owner, `/by-project/${owner.projects[0].id}`), isRight: (body) => body.startsWith('[{') }
  }
}

const reveal: Route = {
  name: 'reveal',
  reference: 'insert',
  request(draw) {
    const owner = draw.owner()
    return post(`${base}/${owner.ids[draw.index(owner)]}/reveal`, {}, session(owner))
  }
}

const resolve = (count: number): Route => ({
  name: `resolve-${count}`,
  reference: 'insert',
  request(draw) {
    const owner = draw.owner()
    const [small, large] = owner.projects
    const index = draw.below(small.count + large.count)
    const project = count <= small.count && index < small.count ? small : large
    const ids = idsOf(draw, owner, project, index, Math.min(count, project.count))
    const headers = { authorization: `Bearer ${project.token}` }
    const body = { credentials: ids.map((id) => ({ id })) }
    return {
      ...post(`/api/v1/projects/${project.id}/resolve`, body, headers),
      isRight: (answer) => !answer.includes('"error"')
    }
  }
})

/** Returns the ids of `count` different credentials of the project, the drawn one first if it is in it. */
function idsOf(draw: Draw, owner: Owner, project: Project, drawn: number, count: number): string[] {
  const first = drawn >= project.from && drawn < project.from + project.count ? drawn : project.from
  const chosen = new Set([first])
  if (count === project.count) for (let i = 0; i < count; i++) chosen.add(project.from + i)
  while (chosen.size < count) chosen.add(project.from + Math.floor(draw.random() * project.count))
  return [...chosen].map((index) => owner.ids[index]!)
}

const create: Route = {
  name: 'create',
  reference: 'insert',
  request(draw) {
    const owner = draw.owner()
    const { random } = draw
    const unique = `${Math.floor(random() * 2 ** 32)}-${Math.floor(random() * 2 ** 32)}`
    const index = Math.floor(random() * owner.ids.length)
    const body = newCredential(draw.dataset.types, index, newName(random, unique), random)
    const headers = session(owner)
    return {
      ...post(base, body, headers),
      undo: (answer) => ({ method: 'DELETE', path: headerOf(answer, 'location'), headers })
    }
  }
}

const updateDescription: Route = {
  name: 'update-description',
  reference: 'insert',
  request(draw) {
    const owner = draw.owner()
    const description = `For report ${Math.floor(draw.random() * 1e9)}`
    return put(owner, draw.index(owner), { description })
  }
}

const updateValue: Route = {
  name: 'update-value',
  reference: 'insert',
  request(draw) {
    const owner = draw.owner()
    const index = draw.index(owner)
    return put(owner, index, { keys: newSecret(draw.dataset.types, index, draw.random) })
  }
}

const signIn: Route = {
  name: 'sign-in',
  reference: 'insert',
  mostConnections: 16,
  request(draw) {
    return {
      ...post('/api/v1/session', { email: draw.owner().email, password: ADMIN.password }),
      undo: (answer) => ({
        method: 'DELETE',
        path: '/api/v1/session',
        headers: { cookie: cookieOf(answer) }
      })
    }
  }
}

const SHARES: readonly [share: number, route: Route][] = [
  [0.6, resolve(1)],
  [0.15, get],
  [0.08, list],
  [0.05, byProject],
  [0.04, reveal],
  [0.02, updateDescription],
  [0.02, updateValue],
  [0.02, create],
  [0.02, search]
]

const mix: Route = {
  name: 'mix',
  reference: 'insert',
  request(draw) {
    let left = draw.random()
    const found = SHARES.find(([share]) => {
      left -= share
      return left < 0
    })
    return (found ?? SHARES[0]!)[1].request(draw)
  }
}

export const ROUTES: readonly Route[] = [
  mix,
  get,
  list,
  search,
  byProject,
  reveal,
  resolve(1),
  resolve(10),
  resolve(100),
  create,
  updateDescription,
  updateValue,
  signIn
]

/** The routes of `bench/reference.ts`. */
export const REFERENCES: Record<ReferenceName, (draw: Draw) => Request> = {
  bare: () => ({ method: 'GET', path: '/bare' }),
  row: (draw) => {
    const owner = draw.owner()
    return { method: 'GET', path: `/row/${owner.ids[draw.index(owner)]}` }
  },
  joined: (draw) => {
    const owner = draw.owner()
    return { method: 'GET', path: `/joined/${owner.ids[draw.index(owner)]}`, headers: session(owner) }
  },
  insert: (draw) => {
    const owner = draw.owner()
    return { method: 'POST', path: `/insert/${owner.ids[draw.index(owner)]}` }
  }
}

/** Draws `count` requests, the same ones for the same seed. */
export function drawRequests(
  dataset: Dataset,
  request: (draw: Draw) => Request,
  { draw, seed, count }: { draw: DrawName; seed: string; count: number }
): Request[] {
  const random = seededRandom(seed)
  const distribution = DRAWS[draw]
  const below = (limit: number) => distribution(limit, random)
  const source: Draw = {
    dataset,
    random,
    below,
    owner: () => dataset.owners[below(dataset.owners.length)]!,
    index: ({ ids }) => scatter(below(ids.length), ids.length)
  }
  return Array.from({ length: count }, () => request(source))
}

/** Spreads popular credentials over all ages, types and projects: a permutation, because 7,919 is prime. */
function scatter(rank: number, count: number): number {
  return (rank * 7_919) % count
}

const session = ({ cookie }: Owner) => ({ cookie })

function read(owner: Owner, rest: string): Request {
  return { method: 'GET', path: `${base}${rest}`, headers: session(owner) }
}

function put(owner: Owner, index: number, body: unknown): Request {
  return { method: 'PUT', path: `${base}/${owner.ids[index]}`, headers: session(owner), body }
}

const hasItems = (body: string) => body.includes('"data":[{')
