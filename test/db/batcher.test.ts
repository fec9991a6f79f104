import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { Batcher, type BatchOptions } from '../../src/db/batcher.ts'
import { isUnavailable } from '../../src/db/errors.ts'

/** Creates a batcher that multiplies numbers by ten, and records its batches. */
function tenfold(options: Partial<BatchOptions<number, number>> = {}) {
  const sent: number[][] = []
  const batcher = new Batcher<number, number>({
    maxSize: 500,
    concurrency: 1,
    ...options,
    async run(asked) {
      sent.push([...asked])
      if (options.run) await options.run(asked)
      await sleep(20)
      return asked.map((number) => number * 10)
    }
  })
  return { sent, ask: (...asked: number[]) => Promise.all(asked.map((number) => batcher.add(number))) }
}

const started = async (sent: unknown[]) => {
  while (sent.length === 0) await sleep(1)
}

const refusal = (code: string) =>
  Object.assign(new pg.DatabaseError('refused', 1, 'error'), { code, severity: 'ERROR' })

t.test('calls in one turn of the event loop are one batch, and later calls the next', async (t) => {
  const { sent, ask } = tenfold()
  const first = ask(1, 2)
  await started(sent)
  const [second, third] = [ask(3), ask(4, 5)]
  t.same(await Promise.all([first, second, third]), [[10, 20], [30], [40, 50]])
  t.same(sent, [
    [1, 2],
    [3, 4, 5]
  ])
  t.same(await ask(6), [60])
  t.same(sent.at(-1), [6])
})

t.test('the size and the concurrency of batches are limited', async (t) => {
  let started = 0
  let most = 0
  const { sent, ask } = tenfold({
    maxSize: 3,
    concurrency: 2,
    async run(asked) {
      most = Math.max(most, ++started)
      await sleep(20)
      started--
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

t.test('a call with invalid input fails without failing the others', async (t) => {
  const { sent, ask } = tenfold({
    async run(asked) {
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
  t.test(`a database failure (${code}) fails the whole batch without retries`, async (t) => {
    const { sent, ask } = tenfold({
      async run() {
        throw refusal(code)
      }
    })
    const results = await Promise.allSettled([1, 2, 3, 4].map((number) => ask(number)))
    t.ok(results.every((result) => result.status === 'rejected'))
    t.same(sent, [[1, 2, 3, 4]])
  })
}

t.test('a call that waits too long is rejected and not sent', async (t) => {
  const { sent, ask } = tenfold({
    async run(asked) {
      if (asked.includes(1)) await sleep(8_000)
      return asked
    }
  })
  const first = ask(1)
  await started(sent)
  let ended = false
  void first.then(() => {
    ended = true
  })
  const error = await ask(2).catch((error) => error)
  t.match(error, { name: 'BatchTimeout' })
  t.ok(isUnavailable(error), 'the error is temporary')
  t.notOk(ended, 'the previous batch is still running')
  await first
  await ask(3)
  t.same(sent, [[1], [3]])
})

t.test('the number of waiting calls is limited', async (t) => {
  const { sent, ask } = tenfold()
  const results = await Promise.allSettled(Array.from({ length: 5_001 }, (_, i) => ask(i)))
  t.same(
    results.flatMap((result) => (result.status === 'rejected' ? [result.reason.name] : [])),
    ['BatchTimeout']
  )
  t.equal(sent.flat().length, 5_000)
})
