import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { prepareTemplate } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { newCredential, newType } from '../helpers/fixtures.ts'
import { startProxy } from '../helpers/proxy.ts'
import { startReplica } from '../helpers/replica.ts'
import { query, replicated, startStandby } from '../helpers/standby.ts'

// A primary and its hot standby, behind a proxy that moves between them.
const servers = await startStandby(t)
const { primaryUrl, standbyUrl } = servers
process.env['TEST_DATABASE_URL'] = primaryUrl
await prepareTemplate(primaryUrl)
const service = await startTestApp(t)

const connections = async (url: string) => {
  const text = `select count(*)::int as n from pg_stat_activity
    where application_name = 'latchkey' and datname = $1`
  const name = new URL(service.databaseUrl.replace('@/', '@localhost/')).pathname.slice(1)
  const [{ n }] = await query(url, text, [name])
  return n
}

t.test('the service does not start on a standby, and says why', async (t) => {
  await eventually(() => replicated(servers), 'the standby has the database')
  const proxy = await startProxy(t, service.databaseUrl)
  proxy.moveTo(standbyUrl)
  await t.rejects(startReplica(t, service, { connection: { connectionString: proxy.url } }), {
    message: /^The database is a standby: connect to the primary/
  })
})

t.test('an address that moves to a standby and back never accepts a session that has ended', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const { id } = await newCredential(bob, await newType(bob))
  const proxy = await startProxy(t, service.databaseUrl)
  const replica = await startReplica(t, service, { connection: { connectionString: proxy.url } })
  const [there, bobThere] = [replica.client(ann), replica.client(bob)]
  t.equal((await there.get('/api/v1/session')).status, 200)
  await eventually(() => replicated(servers), 'the standby has the session')

  await query(standbyUrl, 'select pg_wal_replay_pause()')
  t.teardown(() => query(standbyUrl, 'select pg_wal_replay_resume()'))
  t.equal((await ann.delete('/api/v1/session')).status, 200)
  t.equal(
    (await query(standbyUrl, 'select 1 as up'))[0].up,
    1,
    'the standby responds, and still has the session'
  )

  const seen: number[] = []
  let stopped = false
  const asking = (async () => {
    while (!stopped) seen.push((await there.get('/api/v1/session')).status)
  })()
  for (const round of [1, 2, 3]) {
    proxy.moveTo(standbyUrl)
    proxy.cut()
    for (let i = 0; i < 10; i++) {
      t.equal((await bobThere.get('/api/v1/session')).status, 503, `a read, ${round}`)
      t.equal(
        (await bobThere.post(`/api/v1/app-credentials/${id}/reveal`, {})).status,
        503,
        `reveal, ${round}`
      )
    }
    t.equal((await replica.client().get('/readyz')).status, 503)
    // Like a load balancer, which keeps open connections.
    proxy.moveTo(primaryUrl)
    const from = performance.now()
    await eventually(
      async () => (await bobThere.post('/api/v1/projects', { name: `P${round}` })).status === 201,
      'it takes writes again'
    )
    const ms = Math.round(performance.now() - from)
    t.ok(ms < 2_000, `${ms} ms until a write`)
    await eventually(
      async () => (await connections(standbyUrl)) === 0,
      'no connection to the standby is left'
    )
    t.equal((await bobThere.get('/api/v1/session')).status, 200)
    t.equal((await replica.client().get('/readyz')).status, 200)
  }
  stopped = true
  await asking
  t.ok(seen.length > 20, `${seen.length} requests with the ended session`)
  t.same([...new Set(seen)].sort(), [401, 503])
})
