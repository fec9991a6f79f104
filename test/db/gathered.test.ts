import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { Gathered, type Gathering } from '../../src/db/gathered.ts'
import { isUnavailable } from '../../src/db/sqlstate.ts'

/** Answers each number with its tenfold; notes what went together. */
function tenfold(options: Partial<Gathering<number, number>> = {}) {
  const sent: number[][] = []
  const gathered = new Gathered<number, number>({
    most: 500,
    atOnce: 1,
    ...options,
    async send(asked) {
      sent.push([...asked])
      if (options.send) await options.send(asked)
      await sleep(20)
      return asked.map((number) => number * 10)
    }
  })
  return { sent, ask: (...asked: number[]) => Promise.all(asked.map((number) => gathered.ask(number))) }
}

const ofOneRow = (code: string) =>
  Object.assign(new pg.DatabaseError('refused', 1, 'error'), { code, severity: 'ERROR' })

t.test('those that come in one turn go together, and those that come meanwhile with the next', async (t) => {
  const { sent, ask } = tenfold()
  const first = ask(1, 2)
  await sleep(5)
  const [second, third] = [ask(3), ask(4, 5)]
  t.same(await Promise.all([first, second, third]), [[10, 20], [30], [40, 50]])
  t.same(sent, [
    [1, 2],
    [3, 4, 5]
  ])
  t.same(await ask(6), [60])
  t.same(sent.at(-1), [6])
})

t.test('no more go together than may, and no more are under way', async (t) => {
  let underWay = 0
  let most = 0
  const { sent, ask } = tenfold({
    most: 3,
    atOnce: 2,
    async send(asked) {
      most = Math.max(most, ++underWay)
      await sleep(20)
      underWay--
      return asked
    }
  })
  const numbers = Array.from({ length: 11 }, (_, i) => i)
  t.same(
    await ask(...numbers),
    numbers.map((number) => number * 10)
  )
  t.same(sent.flat(), numbers)
  t.ok(sent.every((asked) => asked.length <= 3))
  t.equal(most, 2)
})

t.test('who asks what cannot be, fails alone', async (t) => {
  const { sent, ask } = tenfold({
    async send(asked) {
      if (asked.includes(2)) throw ofOneRow('23505')
      return asked
    }
  })
  const results = await Promise.allSettled([1, 2, 3].map((number) => ask(number)))
  t.match(results, [
    { status: 'fulfilled', value: [10] },
    { status: 'rejected', reason: { code: '23505' } },
    { status: 'fulfilled', value: [30] }
  ])
  t.same(sent, [[1, 2, 3], [1], [2], [3]])
  t.same(await ask(4), [40])
})

t.test('what is wrong with the database fails all at once, and is not tried for each', async (t) => {
  const { sent, ask } = tenfold({
    async send() {
      throw ofOneRow('57P01')
    }
  })
  const results = await Promise.allSettled([1, 2, 3, 4].map((number) => ask(number)))
  t.ok(results.every((result) => result.status === 'rejected'))
  t.same(sent, [[1, 2, 3, 4]])
})

t.test('what waits longer than it may is refused, and not sent', async (t) => {
  const { sent, ask } = tenfold({
    async send(asked) {
      if (asked.includes(1)) await sleep(5_500)
      return asked
    }
  })
  const first = ask(1)
  await sleep(20)
  const error = await ask(2).catch((error) => error)
  t.match(error, { name: 'WaitedTooLong' })
  t.ok(isUnavailable(error), 'which may go better later')
  await first
  await ask(3)
  t.same(sent, [[1], [3]])
})

t.test('there is an end to how many wait', async (t) => {
  const { sent, ask } = tenfold()
  const results = await Promise.allSettled(Array.from({ length: 5_001 }, (_, i) => ask(i)))
  t.same(
    results.flatMap((result) => (result.status === 'rejected' ? [result.reason.name] : [])),
    ['WaitedTooLong']
  )
  t.equal(sent.flat().length, 5_000)
})
