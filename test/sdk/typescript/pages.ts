import type { Test } from 'tap'
import { newType, uniqueName } from '../../helpers/fixtures.ts'
import type { World } from './world.ts'

export async function pages(t: Test, world: World) {
  const { service, proxy } = world
  const latchkey = await world.signedIn()

  /** Creates projects. `walk` iterates over them and returns their names. */
  async function newList(count: number) {
    const prefix = uniqueName('list')
    const made: { id: string; name: string }[] = []
    for (let i = 0; i < count; i++)
      made.push(await latchkey.createProject({ body: { name: `${prefix} ${i}` } }))
    const newestFirst = made.toReversed()
    return {
      names: newestFirst.map(({ name }) => name),
      add: (name: string) => latchkey.createProject({ body: { name: `${prefix} ${name}` } }),
      remove: (index: number) => latchkey.deleteProject({ path: { id: newestFirst[index]!.id } }),
      async walk(meanwhile: (met: number) => unknown = () => {}) {
        const met: string[] = []
        for await (const { name } of latchkey.each('listProjects', {
          query: { search: prefix, pageSize: 3 }
        })) {
          met.push(name)
          await meanwhile(met.length)
        }
        return met
      }
    }
  }

  t.test('each row is returned once, in order, with the minimum of requests', async (t) => {
    for (const [count, requests] of [
      [0, 1],
      [3, 1],
      [7, 3]
    ] as const) {
      const list = await newList(count)
      proxy.passed.length = 0
      t.same(await list.walk(), list.names)
      t.equal(proxy.passed.length, requests, `${count} rows`)
    }
  })

  t.test('rows that are added during the iteration cause no duplicates', async (t) => {
    const list = await newList(7)
    const met = await list.walk((count) =>
      count === 2 || count === 5 ? list.add(`late ${count}`) : undefined
    )
    t.same(met, list.names)
  })

  t.test('rows that are removed during the iteration do not hide others', async (t) => {
    const list = await newList(10)
    const met = await list.walk(async (count) => {
      if (count === 3) for (const index of [0, 1, 2, 3]) await list.remove(index)
      if (count === 6) await Promise.all([list.remove(5), list.add('late')])
    })
    t.same(met, list.names.toSpliced(3, 1), 'each row once')
  })

  t.test('an iteration starts at the given page, and stops with its reader', async (t) => {
    const list = await newList(7)
    const query = { search: list.names[0]!.slice(0, -2), pageSize: 2, page: 3 }
    const met: string[] = []
    for await (const { name } of latchkey.each('listProjects', { query })) met.push(name)
    t.same(met, list.names.slice(4))
    proxy.passed.length = 0
    for await (const _ of latchkey.each('listProjects', { query: { ...query, page: 1 } })) break
    t.equal(proxy.passed.length, 1)
    proxy.next(undefined, 'refused')
    t.equal((await list.walk()).length, 7, 'requests of pages are retried')
  })

  t.test('an iteration ends if the service returns the same cursor again', async (t) => {
    const headers = { 'content-type': 'application/json' }
    const answer = (body: object) => ({ status: 200, headers, body: JSON.stringify(body) })
    const page = answer({ data: [], total: 1000, page: 1, pageSize: 20, nextCursor: null })
    const last = answer({ data: [], nextCursor: 'x' })
    const same = answer({ data: [{ id: 'x' }], nextCursor: 'x' })
    for (const [name, faults, requests] of [
      ['listProjects', [page, page, page], 1],
      ['listAuditEvents', [last, last, last], 2],
      ['listAuditEvents', [same, same, same], 2]
    ] as const) {
      proxy.passed.length = 0
      proxy.next(...faults)
      for await (const _ of latchkey.each(name)) t.ok(proxy.passed.length <= requests)
      t.equal(proxy.passed.length, requests)
      proxy.calm()
    }
  })

  t.test('the audit log is read by cursor, despite new events', async (t) => {
    const { id } = await world.newCredential()
    for (let i = 0; i < 5; i++) await latchkey.revealAppCredential({ path: { id }, body: {} })
    const met: string[] = []
    for await (const event of latchkey.each('listAuditEvents', {
      query: { credentialId: id, pageSize: 2 }
    })) {
      met.push(event.id)
      await latchkey.revealAppCredential({ path: { id }, body: {} })
    }
    const all = await latchkey.listAuditEvents({ query: { credentialId: id, pageSize: 50 } })
    t.ok(met.length >= 6, `${met.length}`)
    t.same(
      met,
      all.data.slice(-met.length).map((event) => event.id)
    )
  })

  t.test('every list with pages can be iterated', async (t) => {
    await newType(world.ann)
    const admin = world.client()
    const { email, password } = service.admin.person
    await admin.signIn({ email, password })
    let users = 0
    for await (const { email } of admin.each('listUsers', { query: { pageSize: 1 } })) users += email ? 1 : 0
    t.ok(users >= 2)
    let types = 0
    for await (const { fields } of latchkey.each('listCredentialTypes', { query: { pageSize: 5 } }))
      types += fields ? 1 : 0
    t.ok(types > 5)
    await world.newCredential()
    let credentials = 0
    for await (const { keys } of latchkey.each('listAppCredentials', { query: { pageSize: 1 } }))
      credentials += keys ? 1 : 0
    t.ok(credentials >= 2)
    const project = await latchkey.createProject({ body: { name: uniqueName('walked') } })
    const path = { id: project.id }
    for await (const { email } of latchkey.each('listProjectMembers', { path }))
      t.ok(email, 'rows without an id')
  })
}
