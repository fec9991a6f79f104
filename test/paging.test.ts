import { randomUUID } from 'node:crypto'
import t from 'tap'
import { startTestApp } from './helpers/app.ts'
import type { Client } from './helpers/client.ts'
import type { Parameter } from './helpers/contract.ts'
import { newCredential, newProject, newType, uniqueName } from './helpers/fixtures.ts'
import { type PagedList, pagedLists, pageIn } from './helpers/paged-lists.ts'
import { newToken } from './helpers/tokens.ts'

// Sends several thousand requests.
t.setTimeout(300_000)

const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
const { document } = service.contract
const lists = await pagedLists(service)

interface Listing {
  name: string
  parameters: Map<string, Parameter & { deprecated?: boolean; schema: Record<string, unknown> }>
}

/** The list operations of the document, by their operationId. */
const listings: Listing[] = Object.values(document.paths).flatMap(({ get }) => {
  if (!get || !/^(lightningL|l)ist/.test(get.operationId)) return []
  const parameters = (get.parameters ?? []).map((one) => service.contract.resolved(one))
  return [{ name: get.operationId, parameters: new Map(parameters.map((one) => [one.name, one as never])) }]
})

function sortsOf({ parameters }: Listing): string[] {
  const schema = parameters.get('sort')?.schema as {
    $ref?: string
    allOf?: { $ref: string }[]
    enum?: string[]
  }
  const name = (schema?.$ref ?? schema?.allOf?.[0]?.$ref)?.split('/').at(-1)
  const named = name && (document.components.schemas[name] as { enum?: string[] })
  return (named || schema)?.enum ?? []
}

const urlOf = (path: string, query: Record<string, string | number | null>) => {
  const given = Object.entries(query).filter(([, value]) => value !== null) as [string, string][]
  return `${path}?${new URLSearchParams(given)}`
}

const idOf = ({ idOf: own }: PagedList, row: Record<string, string>) => own?.(row) ?? row['id']!

/** Returns the ids on all pages. Calls `between` with the ids of each page, except the last. */
async function walk(
  list: PagedList,
  query: Record<string, string | number>,
  between: (ids: string[]) => Promise<unknown> = async () => {}
): Promise<string[]> {
  const ids: string[] = []
  let cursor: string | null = null
  for (let requests = 0; requests < 500; requests++) {
    const answer = await list.caller.get(urlOf(list.path, { ...query, cursor }))
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`)
    const { rows, next } = pageIn(answer)
    const page = rows.map((row) => idOf(list, row))
    ids.push(...page)
    if (next === null) return ids
    cursor = next
    await between(page)
  }
  throw new Error('the pages do not end')
}

t.test('every list of the document has pages, and is tested here', async (t) => {
  t.same(listings.map(({ name }) => name).sort(), Object.keys(lists).sort())
  for (const [path, { get }] of Object.entries(document.paths)) {
    if (!get || !path.startsWith('/api/')) continue
    t.match(get.operationId, /^(get|list|lightningList)/, `${path}: the name of a list starts with list`)
    const schema = service.contract.resolved(get.responses['200']!).content?.['application/json']?.schema
    if ((schema as { type?: string }).type === 'array') t.match(get.operationId, /^list/, path)
  }
  for (const { name, parameters } of listings) {
    for (const one of ['pageSize', 'cursor']) t.ok(parameters.has(one), `${name} accepts ${one}`)
    if (name !== 'listAuditEvents') t.ok(parameters.has('page'), `${name} accepts page`)
    t.notOk(
      parameters.has('limit') && !parameters.get('limit')!.deprecated,
      `${name} has no other name for pageSize`
    )
  }
})

for (const listing of listings) {
  const { name } = listing
  const list = lists[name]!
  t.test(`${name} by cursor returns each row once despite inserts and deletions`, async (t) => {
    const stay: string[] = []
    for (let i = 0; i < 12; i++) {
      const id = randomUUID()
      await list.insert(id)
      stay.push(id)
    }
    const sorts = sortsOf(listing)
    for (const sort of sorts.length > 0 ? sorts : [undefined]) {
      const order = sort === undefined ? {} : { sort }
      for (const pageSize of [1, 5]) {
        const whole = await walk(list, { pageSize: 100, ...order })
        t.equal(new Set(whole).size, whole.length, `${sort}: one page`)
        t.same(await walk(list, { pageSize, ...order }), whole, `${sort}: pages of ${pageSize}`)
        const gone: string[] = []
        const added: string[] = []
        const met = await walk(list, { pageSize, ...order }, async (page) => {
          if (added.length >= 6) return
          const id = randomUUID()
          await list.insert(id)
          added.push(id)
          if (!list.remove || gone.length >= 4) return
          // Deletes the last row of the page, which the cursor refers to, if that is one of the test's rows.
          const last = page.at(-1)!.split(' ')[0]!
          const goes = stay.includes(last) ? last : added.shift()!
          await list.remove(goes)
          gone.push(goes)
        })
        t.equal(new Set(met).size, met.length, `${sort}, ${pageSize}: no row is returned twice`)
        const stayed = whole.filter((id) => !gone.includes(id.split(' ')[0]!))
        const seen = met.filter((id) => stayed.includes(id))
        t.same(seen, stayed, `${sort}, ${pageSize}: remaining rows are complete and in order`)
        for (const id of gone.filter((one) => stay.includes(one))) await list.insert(id)
        for (const id of added) await list.remove?.(id)
        if (!list.remove) break
      }
    }
  })

  t.test(`${name} refuses foreign and forged cursors`, async (t) => {
    const sorts = sortsOf(listing)
    const get = (query: Record<string, string | number>, caller: Client = list.caller) =>
      caller.get(urlOf(list.path, query))
    const other = Object.keys(lists).find((one) => one !== name)!
    for (const one of [list, list, lists[other]!, lists[other]!]) await one.insert(randomUUID())
    const first = await get({ pageSize: 1 })
    const cursor = pageIn(first).next!
    t.equal((await get({ cursor, pageSize: 2 })).status, 200, 'the page size may change')
    const bytes = Buffer.from(cursor, 'base64url')
    const changed = (at: number) => {
      const copy = Buffer.from(bytes)
      copy[at]! ^= 1
      return copy.toString('base64url')
    }
    const forged: [string, string][] = [
      ...[0, 1, 4, 5, 20, bytes.length - 1].map((at): [string, string] => [`byte ${at}`, changed(at)]),
      ['cut', cursor.slice(0, -4)],
      ['longer', `${cursor}AAAA`],
      ['another encoding of the same bytes', sameBytes(cursor)],
      [
        'of another list',
        pageIn(await lists[other]!.caller.get(urlOf(lists[other]!.path, { pageSize: 1 }))).next!
      ],
      ['an id', randomUUID()],
      ['a guess', Buffer.from(JSON.stringify([2, '2026-01-01', randomUUID()])).toString('base64url')],
      ['SQL', "' or 1=1 --"],
      ['nothing', ''],
      ['NUL', '\0'],
      ['too long', 'A'.repeat(2_049)]
    ]
    const isLightning = name.startsWith('lightning')
    const refused = async (what: string, query: Record<string, string | number>, caller = list.caller) => {
      const { status, json, text } = await get(query, caller)
      t.equal(status, 400, what)
      if (isLightning) t.same(json, { error: 'Bad Request' }, what)
      else t.match(json, { code: 'validation-failed', errors: [{ path: /^\/query\// }] }, what)
      t.notMatch(text, /postgres|syntax|uuid|timestamp/i, what)
      return json
    }
    for (const [what, one] of forged) await refused(what, { cursor: one })
    if (!isLightning)
      t.match(await refused('changed', { cursor: changed(30) }), { errors: [{ code: 'invalid-cursor' }] })
    if (name !== 'listAuditEvents') await refused('a page too', { cursor, page: 2 })
    for (const sort of sorts.slice(1)) await refused(`in the order ${sort}`, { cursor, sort })
    if (listing.parameters.has('search')) await refused('with a search', { cursor, search: 'name' })
    if (listing.parameters.has('updatedSince'))
      await refused('with a filter', { cursor, updatedSince: '2026-01-01T00:00:00Z' })
    if (name === 'listUsers' || name === 'listAuditEvents') {
      const administrator = await service.newUser({ role: 'admin' })
      await refused('of another caller', { cursor }, administrator)
    }
  })
}

/** Returns another base64url text for the same bytes: other unused bits in the last character, or padding. */
function sameBytes(cursor: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const unused = cursor.length % 4 === 0 ? 0 : cursor.length % 4 === 2 ? 15 : 3
  if (unused === 0) return `${cursor}=`
  return cursor.slice(0, -1) + alphabet[alphabet.indexOf(cursor.at(-1)!) ^ 1]
}

t.test('a page by cursor has the next number and the total', async (t) => {
  const ann = await service.newUser()
  for (let i = 0; i < 5; i++) await newProject(ann)
  const path = '/api/v1/projects'
  const third = (await ann.get(`${path}?page=2&pageSize=2`)).json
  t.match(third, { total: 5, page: 2, pageSize: 2 })
  const last = (await ann.get(`${path}?pageSize=2&cursor=${third.nextCursor}`)).json
  t.match(last, { total: 5, page: 3, pageSize: 2, nextCursor: null })
  t.equal(last.data.length, 1)
  t.match((await ann.get(`${path}?page=9`)).json, { data: [], total: 5, page: 9, nextCursor: null })
  const exact = (await ann.get(`${path}?pageSize=5`)).json
  t.equal(exact.nextCursor, null, 'no page follows the last row')
})

t.test('a cursor does not reveal the row that it refers to', async (t) => {
  const ann = await service.newUser()
  for (const name of ['Payroll', 'Zebra']) await ann.post('/api/v1/projects', { name })
  const { nextCursor } = (await ann.get('/api/v1/projects?pageSize=1&sort=name')).json
  t.notMatch(Buffer.from(nextCursor, 'base64url').toString('latin1'), /payroll/i)
})

t.test('cursors work with the longest names', async (t) => {
  const ann = await service.newUser()
  for (const letter of ['𝒜', '𐐀', 'ᾷ', '\u{1d160}', 'ﬃ', 'ΐ']) {
    for (const end of ['1', '2']) {
      const name = letter.normalize('NFC').repeat(199 / [...letter.normalize('NFC')].length) + end
      const made = await ann.post('/api/v1/projects', { name: [...name].slice(-200).join('') })
      t.equal(made.status, 201, letter)
    }
  }
  const list = { caller: ann, path: '/api/v1/projects', insert: async () => {} }
  t.equal(new Set(await walk(list, { pageSize: 1, sort: 'name' })).size, 12)
})

t.test('the audit log still accepts `limit` for `pageSize`', async (t) => {
  const { admin } = service
  const path = '/api/v1/audit-events'
  t.equal((await admin.get(`${path}?limit=3`)).json.data.length, 3)
  t.equal((await admin.get(`${path}?pageSize=3`)).json.data.length, 3)
  const { nextCursor } = (await admin.get(`${path}?limit=3`)).json
  t.equal((await admin.get(`${path}?pageSize=2&cursor=${nextCursor}`)).json.data.length, 2)
  for (const query of ['limit=0', 'limit=201', 'pageSize=0', 'pageSize=201', 'page=1'])
    t.equal((await admin.get(`${path}?${query}`)).status, 400, query)
})

t.test('arrays have links if a page is requested, and are complete otherwise', async (t) => {
  const ann = await service.newUser()
  const project = await newProject(ann)
  const type = await newType(ann)
  const names = ['a', 'b', 'c', 'd', 'e'].map((letter) => uniqueName(`${letter} & <x>; "y", é`))
  for (const credentialName of names) {
    await newCredential(ann, type, { credentialName, projectIds: [project] })
  }
  const machine = await newToken(ann, ['credentials:read'], { projectId: project })
  for (const [caller, path] of [
    [ann, `/api/v1/app-credentials/by-project/${project}`],
    [machine, `/api/v1/app-credentials/by-project/${project}`],
    [ann, '/api/credentials'],
    [ann, `/api/credentials?project_id=${project}`],
    [ann, `/api/projects/${project}/credentials`]
  ] as const) {
    const get = async (query: string) => {
      const answer = await caller.get(path + (query && `${path.includes('?') ? '&' : '?'}${query}`))
      t.equal(answer.status, 200, `${path} ${query}`)
      return { rows: pageIn(answer).rows, link: answer.headers.get('link') }
    }
    const follow = (link: string | null, rel: string) => {
      const target = /<([^>]*)>/.exec(
        (link ?? '').split(', ').find((one) => one.includes(`rel="${rel}"`)) ?? ''
      )
      return target ? new URL(target[1]!, `${service.origin}${path}`) : null
    }
    const whole = await get('')
    t.equal(whole.rows.length, 5)
    t.equal(whole.link, null, 'a complete list has no links')
    const found = await get(`search=${encodeURIComponent('& <x>; "y", É')}`)
    t.equal(found.rows.length, 5, 'a search without a page is complete')
    t.equal(found.link, null)

    const query = `page=2&pageSize=2&search=${encodeURIComponent('& <x>; "y", é')}`
    const second = await get(query)
    const ids = (rows: Record<string, string>[]) => rows.map((row) => row['id'])
    t.same(ids(second.rows), ids(whole.rows.slice(2, 4)))
    const rest: string[] = []
    for (const rel of ['first', 'prev', 'next', 'last']) {
      const target = follow(second.link, rel)!
      t.equal(target.pathname, path.split('?')[0], `${rel}: the path of the request`)
      const { status, json } = await caller.get(target.pathname + target.search)
      t.equal(status, 200, rel)
      rest.push(pageIn({ json, headers: new Headers() } as never).rows[0]!['id']!)
    }
    t.same(
      rest,
      [0, 0, 4, 4].map((index) => whole.rows[index]!['id'])
    )
    const byCursor = follow(second.link, 'next')!
    const third = await caller.get(byCursor.pathname + byCursor.search)
    t.equal(follow(third.headers.get('link'), 'next'), null, 'the last page has no next link')
    t.equal(follow(third.headers.get('link'), 'last'), null, 'a page by cursor has no last link')
    t.equal(follow((await get('pageSize=2')).link, 'prev'), null, 'the first page has no prev link')
    t.equal((await get('page=4&pageSize=2')).rows.length, 0)
  }
  t.same(
    (await ann.get('/api/credentials?page=0')).json,
    { error: 'Bad Request' },
    'the Lightning API refuses in its own form'
  )
  t.equal(
    (await ann.get('/api/credentials?unknown=1&sort=x')).status,
    200,
    'the Lightning API ignores unknown parameters'
  )
})
