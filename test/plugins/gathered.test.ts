import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Gathered } from '../../src/plugins/gathered.ts'

const never = () => false

t.test('rows that come while others are written go together', async (t) => {
  const sent: number[][] = []
  const writer = new Gathered<number>(async (rows) => {
    sent.push([...rows])
    await sleep(20)
  }, never)
  await Promise.all([1, 2, 3, 4].map((row) => writer.write([row])))
  t.same(sent, [[1], [2, 3, 4]])
  await writer.write([5])
  t.same(sent.at(-1), [5])
})

t.test('what is wrong with the database fails all at once, and is not tried for each', async (t) => {
  let tries = 0
  const writer = new Gathered<number>(async () => {
    tries++
    await sleep(20)
    throw new Error('away')
  }, never)
  const results = await Promise.allSettled([1, 2, 3, 4].map((row) => writer.write([row])))
  t.ok(results.every((result) => result.status === 'rejected'))
  t.equal(tries, 2)
})

t.test('what waits longer than it may is refused, and not written', async (t) => {
  const sent: number[] = []
  const writer = new Gathered<number>(async (rows) => {
    sent.push(...rows)
    if (rows[0] === 1) await sleep(5_500)
  }, never)
  const first = writer.write([1])
  await t.rejects(writer.write([2]), { name: 'WaitedTooLong' })
  await first
  await writer.write([3])
  t.same(sent, [1, 3])
})
