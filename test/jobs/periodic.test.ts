import { setTimeout as sleep } from 'node:timers/promises'
import { fastify } from 'fastify'
import t from 'tap'
import { runPeriodically } from '../../src/jobs/periodic.ts'
import { eventually } from '../helpers/eventually.ts'

const newApp = () => {
  const log: { level: number; msg: string }[] = []
  const app = fastify({ logger: { stream: { write: (line) => log.push(JSON.parse(line)) } } })
  return { app, log: () => log.map(({ level, msg }) => [level, msg]) }
}

t.test('a job runs repeatedly, without overlap, from when the app is ready until it closes', async (t) => {
  const { app } = newApp()
  let [runs, atOnce, most] = [0, 0, 0]
  runPeriodically(app, { everyMs: 5, failure: 'failed' }, async () => {
    most = Math.max(most, ++atOnce)
    await sleep(15)
    atOnce--
    runs++
  })
  await sleep(20)
  t.equal(runs, 0)
  await app.ready()
  await eventually(() => runs >= 3, 'it runs repeatedly')
  t.equal(most, 1)
  await app.close()
  const ended = runs
  await sleep(30)
  t.equal(runs, ended)
})

t.test('closing the app aborts the signal of a run and waits for its end', async (t) => {
  const { app } = newApp()
  let [started, ended] = [false, false]
  runPeriodically(app, { everyMs: 1, failure: 'failed' }, async (signal) => {
    started = true
    await sleep(60_000, undefined, { signal }).catch(() => {})
    await sleep(10)
    ended = true
  })
  await app.ready()
  await eventually(() => started, 'it runs')
  await app.close()
  t.ok(ended)
})

t.test('a failing job is logged once, continues to run, and is logged when it works again', async (t) => {
  const { app, log } = newApp()
  let runs = 0
  runPeriodically(app, { everyMs: 1, failure: 'the job failed' }, async () => {
    if (++runs <= 3) throw new Error('away')
  })
  await app.ready()
  await eventually(() => runs >= 5, 'it continues to run')
  await app.close()
  t.same(log(), [
    [40, 'the job failed'],
    [30, 'works again']
  ])
})
