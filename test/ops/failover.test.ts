// The service over Postgres under Patroni, while its primary is killed, changed and cut off.
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { eventually } from '../helpers/eventually.ts'
import { makeBed } from './bed.ts'
import { Ledger, recoveryOf } from './ledger.ts'
import { missingForCluster, type Node, startCluster } from './patroni.ts'
import { findPgbouncers, startPgbouncer } from './pgbouncer.ts'
import { serviceIn } from './replicas.ts'

t.setTimeout(240_000)

/** How long after a promotion a write is acknowledged again. */
const RECOVERY_MS = 2_000
/** How long a request may wait for its 503. */
const SLOWEST_MS = 8_000

/** How the replicas reach Postgres. */
const WAYS = ['HAProxy', 'several hosts', 'PgBouncer and HAProxy']

const skip = (await missingForCluster()) ?? false

t.test('no failover of Postgres loses what was acknowledged', { skip }, async (t) => {
  const bed = await makeBed(t)
  const cluster = await startCluster(t, bed)
  const admin = new pg.Client({ connectionString: cluster.adminUrl })
  await admin.connect()
  await admin.query(`create role latchkey login password 'secret'`)
  await admin.query(`create database latchkey owner latchkey template template0 encoding 'UTF8' locale 'C'`)
  await admin.end()
  const throughHaproxy = `postgres://latchkey:secret@127.0.0.1:${cluster.port}/latchkey`
  const hosts = cluster.nodes.map(({ ports }) => `127.0.0.1:${ports.postgres}`).join(',')
  const severalHosts = `postgres://latchkey:secret@${hosts}/latchkey?target_session_attrs=read-write`
  const service = await serviceIn(t, bed)
  const one = await service.start(throughHaproxy)
  const other = await service.start(severalHosts)
  const replicas = [one.admin, other.admin]
  const { recent } = await findPgbouncers()
  if (recent) {
    const pooler = await startPgbouncer(bed, {
      program: recent,
      users: { latchkey: 'secret' },
      server: `host=127.0.0.1 port=${cluster.port}`,
      settings: { server_login_retry: 1 }
    })
    replicas.push((await service.start(pooler.through(throughHaproxy))).admin)
  } else t.pass('a replica behind PgBouncer', { skip: 'no PgBouncer from 1.21 is installed' })

  /** Puts the service under load, and has `change` make another node the primary. */
  const failover = async (t: Test, change: (primary: Node) => Promise<void>) => {
    await cluster.healthy()
    const before = (await cluster.primary())!
    const ledger = new Ledger(t, replicas)
    await sleep(2_000)
    const changedAt = Date.now()
    const changing = change(before)
    await eventually(
      async () => ![before, undefined].includes(await cluster.primary()),
      'another node is the primary',
      30_000
    )
    const promotedAt = Date.now()
    await changing
    await sleep(RECOVERY_MS + 1_000)
    const verified = service.run({ DATABASE_URL: throughHaproxy }, 'audit', 'verify')
    t.equal(await verified.exited, 0, verified.output())
    return {
      async end() {
        await cluster.healthy()
        await sleep(1_000)
        await ledger.stop()
        t.same(ledger.faults.slice(0, 10), [], `${ledger.faults.length} faults`)
        t.comment(`promoted ${promotedAt - changedAt} ms after`)
        for (const [index, account] of ledger.accounts.entries()) {
          const { acknowledged, refused, slowestMs } = account
          const recoveryMs = recoveryOf(account, promotedAt)
          const figures = `${acknowledged} acknowledged, ${refused} refused`
          t.ok(
            recoveryMs <= RECOVERY_MS,
            `${WAYS[index]}: writes ${recoveryMs} ms after the promotion; ${figures}`
          )
          t.ok(slowestMs <= SLOWEST_MS, `${WAYS[index]}: the slowest answer took ${slowestMs} ms`)
        }
      }
    }
  }

  await t.test('kill -9 of the primary and its Patroni', async (t) => {
    let killed!: Node
    const { end } = await failover(t, async (primary) => {
      killed = primary
      await primary.kill()
    })
    killed.start()
    await end()
  })

  await t.test('a planned switchover', async (t) => {
    const { end } = await failover(t, () => cluster.switchOver())
    await end()
  })

  await t.test('a partition of the primary, whose Patroni and Postgres go on', async (t) => {
    let cutOff!: Node
    const { end } = await failover(t, async (primary) => {
      cutOff = primary
      primary.cut()
    })
    cutOff.mend()
    await end()
  })
})
