import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import t from 'tap'
import { listHeads } from '../../src/audit/archive-repository.ts'
import { verifyFromStart } from '../../src/commands/audit.ts'
import { newSigningKey, SigningKey } from '../../src/crypto/signing.ts'
import { oldLog, seal } from '../helpers/old-log.ts'
import { insertAged, partitionsOf } from '../helpers/partitions.ts'

t.setTimeout(300_000)

t.test('events that were sealed too late for a run are archived by the next one', async (t) => {
  const log = await oldLog(t)
  const signer = new SigningKey(newSigningKey())
  await insertAged(log.db, [100, 70, 40])
  await seal(log.db)
  await insertAged(log.db, [66, 65], { outcome: 'denied' })
  await log.archive({ signer })
  t.same(await log.ages(), [66, 65, 40])
  await seal(log.db)
  await log.archive({ signer, keepDays: 35 })
  t.same(await log.ages(), [], 'all events were sealed before the events of a dropped partition')
  const partitions = await partitionsOf(log.db)
  await log.archive({ signer, keepDays: 35 })
  t.same(await partitionsOf(log.db), partitions)
})

t.test('verification during an archive run does not report exported events as missing', async (t) => {
  const log = await oldLog(t)
  await insertAged(log.db, [100, 70, 40])
  await seal(log.db)
  let starts = 0
  const verdict = await verifyFromStart(log.db, async (db) => {
    const start = (await listHeads(db)).at(-1)
    if (starts++ === 0) await log.archive()
    return start
  })
  t.match(verdict, { from: { position: 2 }, verified: 1, broken: undefined })
  await sql`alter table audit_log disable trigger all`.execute(log.db)
  await sql`delete from audit_log where details->>'age' = '40'`.execute(log.db)
  t.match(await verifyFromStart(log.db, async (db) => (await listHeads(db)).at(-1)), {
    broken: { what: 'missing', position: 3 }
  })
})

t.test('two runs at the same time archive all old events; a refused run says why', async (t) => {
  const log = await oldLog(t)
  await insertAged(log.db, [100, 70, 40])
  await seal(log.db)
  const signer = new SigningKey(newSigningKey())
  for (let i = 0; i < 5; i++) {
    const runs = await Promise.allSettled([log.archive({ signer }), log.archive({ signer })])
    for (const run of runs)
      if (run.status === 'rejected') t.match(run.reason.message, /^another process is archiving/)
  }
  t.same(await log.ages(), [40])
})

t.test('files of another audit log are not replaced', async (t) => {
  const [log, other] = [await oldLog(t), await oldLog(t)]
  for (const { db } of [log, other]) {
    await insertAged(db, [100, 40])
    await seal(db)
  }
  await log.archive()
  const read = async () =>
    Promise.all((await readdir(log.directory)).map((name) => readFile(join(log.directory, name))))
  const files = await read()
  await t.rejects(other.archive({ directory: log.directory }), {
    message: /-000000000001\.head\.json belongs to another audit log: use a directory /
  })
  t.same(await read(), files)
  t.same(await other.ages(), [100, 40])
})

t.test('verification accepts the head of the empty chain', async (t) => {
  const log = await oldLog(t)
  await insertAged(log.db, [100, 40])
  await seal(log.db)
  const from = ['audit', 'verify', '--from', `0:${'0'.repeat(64)}`]
  t.match((await log.latchkey(...from)).out, /^2 events are intact/)
  t.equal((await log.latchkey('audit', 'archive', log.directory)).code, 0)
  t.match((await log.latchkey(...from)).out, /^1 events after position 1 are intact/)
})
