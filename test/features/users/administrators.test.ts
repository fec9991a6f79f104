import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import t from 'tap'
import { lockName } from '../../../src/db/database.ts'
import { startTestApp } from '../../helpers/app.ts'
import type { Answer, Client } from '../../helpers/client.ts'

const USERS = '/api/v1/users'

const outcome = ({ status, json }: Answer) => [status, json.code]
const pathOf = ({ person }: Client) => `${USERS}/${person.id}`

t.test('the last enabled administrator cannot be deleted, disabled or demoted', async (t) => {
  const service = await startTestApp(t)
  const { admin } = service
  const refusedAll = async (when: string) => {
    const cases: [string, Answer][] = [
      ['deleted', await admin.delete(pathOf(admin))],
      ['disabled', await admin.put(pathOf(admin), { disabled: true })],
      ['demoted', await admin.put(pathOf(admin), { role: 'user' })]
    ]
    for (const [name, answer] of cases)
      t.same(outcome(answer), [409, 'last-administrator'], `${name}, ${when}`)
  }
  await service.newUser()
  await refusedAll('as the only one')
  const eve = await service.newUser({ role: 'admin' })
  t.equal((await admin.put(pathOf(eve), { disabled: true })).status, 200)
  await refusedAll('the other being disabled')
  t.equal((await admin.put(pathOf(eve), { disabled: false })).status, 200)
  t.match(await admin.put(pathOf(admin), { role: 'user' }), { status: 200, json: { role: 'user' } })
  t.same(outcome(await admin.get(USERS)), [403, 'forbidden'])
})

t.test('an administrator who is demoted during the request cannot demote others', async (t) => {
  const service = await startTestApp(t)
  const { admin, db } = service
  const [eve, ann] = [await service.newUser({ role: 'admin' }), await service.newUser({ role: 'admin' })]
  const waiting = sql`select 1 from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`
  let answer: Promise<Answer> | undefined
  await db.transaction().execute(async (trx) => {
    await lockName(trx, 'administrators')
    answer = eve.put(pathOf(ann), { role: 'user' })
    while ((await waiting.execute(db)).rows.length === 0) await delay(5)
    await trx.updateTable('users').set({ role: 'user' }).where('id', '=', eve.person.id).execute()
  })
  t.same(outcome(await answer!), [403, 'forbidden'])
  t.equal((await admin.get(pathOf(ann))).json.role, 'admin')
})

t.test('administrators who remove each other concurrently leave one', async (t) => {
  const service = await startTestApp(t)
  const ways: [string, (by: Client, whom: Client) => Promise<Answer>][] = [
    ['demoting', (by, whom) => by.put(pathOf(whom), { role: 'user' })],
    ['disabling', (by, whom) => by.put(pathOf(whom), { disabled: true })],
    ['deleting', (by, whom) => by.delete(pathOf(whom))],
    ['going themselves', (by) => by.put(pathOf(by), { role: 'user' })]
  ]
  let keeper = service.admin
  for (let round = 0; round < 4; round++) {
    for (const [name, act] of ways) {
      const email = `${randomUUID()}@example.org`
      const person = { email, name: 'Eve', password: 'correct horse battery', role: 'admin' }
      await keeper.post(USERS, person)
      const other = service.anonymous()
      await other.signIn(person)
      const answers = await Promise.all([act(keeper, other), act(other, keeper)])
      t.equal(
        answers.filter(({ status }) => status === 200).length,
        1,
        `${name}: ${answers.map(outcome).join(' / ')}`
      )
      if ((await keeper.get(USERS)).status !== 200) keeper = other
      t.equal((await keeper.get(USERS)).status, 200, name)
    }
  }
})
