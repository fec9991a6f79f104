// Replicas of the service on Postgres under Patroni, whose primary is killed, switched over and cut off.
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import type { Client } from '../helpers/client.ts'
import { eventually } from '../helpers/eventually.ts'
import { makeBed } from './bed.ts'
import { Ledger, recoveryOf } from './ledger.ts'
import { fileOnPage } from './page.ts'
import { type Cluster, missingForCluster, type Node, startCluster } from './patroni.ts'
import { findPgbouncers, startPgbouncer } from './pgbouncer.ts'
import { serviceIn } from './replicas.ts'

t.setTimeout(420_000)

/** The maximum time from a promotion until a write is acknowledged. */
const RECOVERY_MS = 2_000
/** The maximum duration of a request: some wait for a connection twice, for up to 5 s each time. */
const SLOWEST_MS = 12_000

const skip = (await missingForCluster()) ?? false

interface Failure {
  name: string
  /** Causes another node to become the primary. */
  change(primary: Node, cluster: Cluster): unknown
  heal?(before: Node): unknown
  /** The replica to leave out, because it may return stale data for a moment; the page explains why. */
  except?: Setup
}
/** How a replica reaches the primary. */
type Setup = 'HAProxy' | 'several hosts' | 'PgBouncer and HAProxy'

const FAILURES: Failure[] = [
  {
    name: 'kill -9 of the primary and its Patroni',
    change: (primary) => primary.kill(),
    heal: (before) => before.start()
  },
  { name: 'a planned switchover', change: (_, cluster) => cluster.switchOver() },
  {
    name: 'a partition of the primary, whose Patroni and Postgres keep running',
    change: (primary) => primary.cut(),
    heal: (before) => before.mend()
  },
  {
    name: 'a Patroni that hangs while its primary keeps running',
    change: (primary) => primary.freeze(),
    heal: (before) => before.thaw(),
    except: 'several hosts'
  }
]

t.test('a failover of Postgres loses no acknowledged change', { skip }, async (t) => {
  const bed = await makeBed(t)
  const cluster = await startCluster(t, bed)
  await makeDatabase(cluster.adminUrl)
  const service = await serviceIn(t, bed)
  const replicas = new Map<Setup, Client>()
  const start = async (setup: Setup, url: string) => replicas.set(setup, (await service.start(url)).admin)

  const url = `postgres://latchkey:secret@127.0.0.1:${cluster.port}/latchkey`
  await start('HAProxy', url)
  const hosts = cluster.nodes.map(({ ports }) => `127.0.0.1:${ports.postgres}`).join(',')
  await start('several hosts', `postgres://latchkey:secret@${hosts}/latchkey?target_session_attrs=read-write`)
  const { recent } = await findPgbouncers()
  if (recent) {
    const pooler = await startPgbouncer(bed, {
      program: recent,
      users: { latchkey: 'secret' },
      server: `host=127.0.0.1 port=${cluster.port}`,
      more: await fileOnPage('for failovers')
    })
    await start('PgBouncer and HAProxy', pooler.through(url))
  } else t.pass('PgBouncer and HAProxy', { skip: 'PgBouncer 1.21 or later is not installed' })

  for (const { name, change, heal, except } of FAILURES) {
    await t.test(name, async (t) => {
      const setups = [...replicas.keys()].filter((setup) => setup !== except)
      const clients = setups.map((setup) => replicas.get(setup)!)
      const before = (await cluster.primary())!
      const ledger = new Ledger(t, clients)
      await sleep(2_000)
      const changedAt = Date.now()
      const changing = change(before, cluster)
      await eventually(async () => (await cluster.primary(before)) !== undefined, 'a new primary', 60_000)
      const promotedAt = Date.now()
      await changing
      await sleep(RECOVERY_MS + 1_000)
      const verified = service.run({ DATABASE_URL: url }, 'audit', 'verify')
      t.equal(await verified.exited, 0, verified.output())
      await heal?.(before)
      await cluster.healthy()
      for (const client of clients) t.equal((await client.get('/readyz')).status, 200, 'it is ready')
      await ledger.stop()
      t.same(ledger.faults.slice(0, 10), [], `${ledger.faults.length} faults`)
      t.comment(`promoted after ${promotedAt - changedAt} ms`)
      for (const [index, account] of ledger.accounts.entries()) {
        const { acknowledged, refused, slowestMs, slowest, unready } = account
        const setup = setups[index]
        const recoveryMs = recoveryOf(account, promotedAt)
        t.comment(`${setup}: ${acknowledged} acknowledged, ${refused} refused, not ready ${unready} times`)
        t.ok(recoveryMs <= RECOVERY_MS, `${setup}: a change was acknowledged after ${recoveryMs} ms`)
        t.ok(slowestMs <= SLOWEST_MS, `${setup}: the slowest answer took ${slowestMs} ms: ${slowest}`)
        // In the other setups, the readiness check may wait until there is a primary again.
        if (setup === 'HAProxy') t.ok(unready > 0, `${setup}: it reported that it was not ready`)
      }
    })
  }
})

async function makeDatabase(adminUrl: string): Promise<void> {
  const admin = new pg.Client({ connectionString: adminUrl })
  await admin.connect()
  await admin.query(`create role latchkey login password 'secret'`)
  await admin.query(`create database latchkey owner latchkey template template0 encoding 'UTF8' locale 'C'`)
  await admin.end()
}
