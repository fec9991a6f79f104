import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { eventually } from '../../helpers/eventually.ts'
import { startReplica } from '../../helpers/replica.ts'

const service = await startTestApp(t)

t.test('the probes are public and disclose nothing else', async (t) => {
  for (const path of ['/livez', '/readyz']) {
    for (const client of [service.anonymous(), service.admin]) {
      const answer = await client.get(path)
      t.same([answer.status, answer.text], [200, '{"status":"ok"}'], path)
      t.equal(answer.headers.get('server'), null)
      t.equal(answer.headers.get('x-powered-by'), null)
    }
    t.equal((await fetch(service.origin + path, { method: 'HEAD' })).status, 200, 'some probes send HEAD')
  }
})

t.test('probes are logged only if they fail', async (t) => {
  const replica = await startReplica(t, service, { env: { LOG_LEVEL: 'info' } })
  for (const path of ['/livez', '/readyz']) await replica.client().get(path)
  t.same(
    replica.log.filter((line) => /livez|readyz/.test(line)),
    []
  )
})

t.test('a stopping service is alive, not ready, and still responds', async (t) => {
  const replica = await startReplica(t, service)
  replica.app.stopping = true
  const ready = await replica.client().get('/readyz')
  t.match(ready.json, { status: 503, code: 'unavailable' })
  t.ok(Number(ready.headers.get('retry-after')) > 0)
  t.equal((await replica.client().get('/livez')).status, 200)
  t.equal((await replica.client(service.admin).get('/api/v1/session')).status, 200)
})

t.test('requests in progress at shutdown are answered, and new ones are refused', async (t) => {
  const replica = await startReplica(t, service)
  const ann = await service.newUser()
  const { answer, closed } = await service.db.transaction().execute(async (trx) => {
    await sql`update users set name = 'Held' where id = ${ann.person.id}`.execute(trx)
    const answer = replica.client().signIn(ann.person)
    await eventually(async () => {
      const { rows } = await sql`select 1 from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`.execute(service.db)
      return rows.length > 0
    }, 'the sign-in waits')
    const closed = replica.app.close()
    await eventually(() => replica.app.stopping, 'it is stopping')
    await eventually(() => !replica.app.server.listening, 'it accepts no more connections')
    await t.rejects(replica.client().get('/livez'))
    t.equal(await Promise.race([closed, sleep(50, 'not closed')]), 'not closed')
    return { answer, closed }
  })
  t.equal((await answer).status, 200)
  await closed
})
