import type { Callers } from './callers.ts'
import type { Load, Request } from './load.ts'
import { type Person, SEARCHED, type Seeded, typeNamed, valuesOf } from './seed.ts'

export type ReferenceName = 'bare' | 'row' | 'joined' | 'insert'

/** A route of the service under one kind of request. */
export interface Case {
  name: string
  load: Load
  /** Of the reference that does the same in the least possible way. */
  reference?: ReferenceName
  /** The name of another case, on the service too. */
  rival?: string
  /** It leaves audit events, which the service seals a moment later. */
  records?: boolean
  /** The hash of a password takes all CPU there is: few connections, and no more than signers. */
  slow?: boolean
}

const json = { 'content-type': 'application/json' }
const base = '/api/v1/app-credentials'

/** What the service is measured by: reads first, then what changes rows. */
export function casesOf(origin: string, seeded: Seeded, callers: Callers): Case[] {
  const { small, large, signers } = seeded
  const read = (caller: 'small' | 'large', ...paths: string[]): Load => ({
    origin,
    method: 'GET',
    headers: callers[caller],
    requests: paths.map((path) => ({ path }))
  })
  const send = (
    method: string,
    headers: Record<string, string>,
    requests: { path: string; body: object }[]
  ): Load => ({
    origin,
    method,
    headers: { ...headers, ...json },
    requests: requests.map(({ path, body }) => ({ path, body: JSON.stringify(body) }))
  })
  const search = `${base}?search=${SEARCHED.term}`
  const basic = typeNamed('basic-auth')
  const basicIds = small.ids.filter((_, index) => index % 4 === 0)
  const secret = basic.fields.find((field) => field.secret)!
  const { project } = small
  const resolve = (...asked: string[][]) =>
    send(
      'POST',
      callers.machine,
      asked.map((ids) => ({
        path: `/api/v1/projects/${project.id}/resolve`,
        body: { credentials: ids.map((id) => ({ id })) }
      }))
    )
  return [
    { name: 'get', reference: 'joined', load: read('large', ...large.ids.map((id) => `${base}/${id}`)) },
    { name: 'list', reference: 'joined', load: read('small', base) },
    { name: 'list of 100,000', reference: 'joined', rival: 'list', load: read('large', base) },
    { name: 'list page 50', reference: 'joined', load: read('small', `${base}?page=50`) },
    {
      name: 'list page 50 of 100,000',
      reference: 'joined',
      rival: 'list page 50',
      load: read('large', `${base}?page=50`)
    },
    { name: 'list anew', reference: 'joined', load: read('large', ...seldomRead()) },
    { name: 'search', reference: 'joined', load: read('small', search) },
    { name: 'search in 100,000', reference: 'joined', rival: 'search', load: read('large', search) },
    { name: 'by project', reference: 'joined', load: read('small', `${base}/by-project/${project.id}`) },
    {
      name: 'reveal',
      reference: 'insert',
      records: true,
      load: send(
        'POST',
        callers.large,
        large.ids.map((id) => ({ path: `${base}/${id}/reveal`, body: {} }))
      )
    },
    {
      name: 'resolve',
      reference: 'insert',
      records: true,
      load: resolve(...project.credentialIds.map((id) => [id]))
    },
    { name: 'resolve 20', reference: 'insert', records: true, load: resolve(project.credentialIds) },
    {
      name: 'create',
      reference: 'insert',
      records: true,
      load: send('POST', callers.writer, [
        {
          path: base,
          body: {
            credentialName: 'Stripe billing production {n}',
            credentialTypeId: basic.id,
            keys: [...valuesOf(basic)].map(([fieldId, keyValue]) => ({ fieldId, keyValue }))
          }
        }
      ])
    },
    {
      name: 'update',
      reference: 'insert',
      records: true,
      load: send(
        'PUT',
        callers.small,
        small.ids.map((id) => ({ path: `${base}/${id}`, body: { description: 'For report {n}' } }))
      )
    },
    {
      name: 'update a value',
      reference: 'insert',
      records: true,
      load: send(
        'PUT',
        callers.small,
        basicIds.map((id) => ({
          path: `${base}/${id}`,
          body: { keys: [{ fieldId: secret.id, keyValue: 'sk_live_{n}' }] }
        }))
      )
    },
    { name: 'sign in', records: true, slow: true, load: send('POST', {}, signers.map(signInRequest)) }
  ]
}

/** Some 2,100 pages of 11 to 30 credentials, of which the service keeps an eighth. */
function seldomRead(): string[] {
  return Array.from({ length: 20 }, (_, i) => 11 + i).flatMap((pageSize) =>
    Array.from(
      { length: Math.floor(2_000 / pageSize) },
      (_, i) => `${base}?page=${i + 1}&pageSize=${pageSize}`
    )
  )
}

const signInRequest = ({ email, password }: Person) => ({
  path: '/api/v1/session',
  body: { email, password }
})

/** The same kinds of requests to the routes that the service is compared with. */
export function referencesOf(
  origin: string,
  { large }: Seeded,
  callers: Callers
): Record<ReferenceName, Load> {
  const read = (paths: string[], headers: Record<string, string> = {}): Load => ({
    origin,
    method: 'GET',
    headers,
    requests: paths.map((path) => ({ path }))
  })
  return {
    bare: read(['/bare']),
    row: read(large.ids.map((id) => `/row/${id}`)),
    joined: read(
      large.ids.map((id) => `/joined/${id}`),
      callers.large
    ),
    insert: { origin, method: 'POST', headers: {}, requests: [{ path: '/insert' }] }
  }
}

/** Eight gets to one list and one reveal, for a look at the memory. */
export function mixedLoad(origin: string, seeded: Seeded, callers: Callers): Load {
  const { small } = seeded
  const requests: Request[] = small.ids.flatMap((id, index) => {
    const last = index % 10
    if (last === 0) return { path: base }
    return last === 1
      ? { method: 'POST', path: `${base}/${id}/reveal`, body: '{}' }
      : { path: `${base}/${id}` }
  })
  return { origin, method: 'GET', headers: { ...callers.small, ...json }, requests }
}
