import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { Gathered, type Gathering, gathered } from '../../src/db/gathered.ts'
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

const underWay = async (sent: unknown[]) => {
  while (sent.length === 0) await sleep(1)
}

const refusal = (code: string) =>
  Object.assign(new pg.DatabaseError('refused', 1, 'error'), { code, severity: 'ERROR' })

t.test('those that come in one turn go together, and those that come meanwhile with the next', async (t) => {
  const { sent, ask } = tenfold()
  const first = ask(1, 2)
  await underWay(sent)
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
      if (asked.includes(2)) throw refusal('23505')
      return asked
    }
  })
  const results = await Promise.allSettled([1, 2, 3].map((number) => ask(number)))
  t.match(results, [
    { status: 'fulfilled', value: [10] },
    { status: 'rejected', reason: { code: '23505' } },
    { status: 'fulfilled', value: [30] }
  ])
  t.same(sent, [[1, 2, 3], [1, 2], [1], [2], [3]])
  t.same(await ask(4), [40])
})

for (const code of ['57P01', '55P03']) {
  t.test(
    `what is wrong with the database (${code}) fails all at once, and is not tried for each`,
    async (t) => {
      const { sent, ask } = tenfold({
        async send() {
          throw refusal(code)
        }
      })
      const results = await Promise.allSettled([1, 2, 3, 4].map((number) => ask(number)))
      t.ok(results.every((result) => result.status === 'rejected'))
      t.same(sent, [[1, 2, 3, 4]])
    }
  )
}

t.test('what waits longer than it may is refused in time, and not sent', async (t) => {
  const { sent, ask } = tenfold({
    async send(asked) {
      if (asked.includes(1)) await sleep(8_000)
      return asked
    }
  })
  const first = ask(1)
  await underWay(sent)
  let ended = false
  void first.then(() => {
    ended = true
  })
  const error = await ask(2).catch((error) => error)
  t.match(error, { name: 'WaitedTooLong' })
  t.ok(isUnavailable(error), 'which may go better later')
  t.notOk(ended, 'while the one before is still under way')
  await first
  await ask(3)
  t.same(sent, [[1], [3]])
})

t.test('no group waits for another', async (t) => {
  const sent: string[][] = []
  const waits = new Map([['a', 50]])
  const ask = gathered<object, string, string>(
    () => ({
      most: 10,
      atOnce: 1,
      async send(asked) {
        sent.push([...asked])
        await sleep(waits.get(asked[0]![0]!) ?? 0)
        return asked
      }
    }),
    (asked) => asked[0]!
  )
  const on = {}
  const ended: string[] = []
  const all = ['a1', 'b1', 'a2', 'b2'].map((one) => ask(on, one).then((answer) => ended.push(answer)))
  await Promise.all(all)
  t.same(sent, [
    ['a1', 'a2'],
    ['b1', 'b2']
  ])
  t.same(ended, ['b1', 'b2', 'a1', 'a2'])
  t.equal(await ask(on, 'a3'), 'a3')
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
