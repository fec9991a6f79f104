import pg from 'pg'
import t, { type Test } from 'tap'
import { run } from '../../src/db/query.ts'
import { createTestDatabase, type TestDatabase } from '../helpers/database.ts'

let made: TestDatabase
t.before(async () => {
  made = await createTestDatabase()
})
t.teardown(() => made.drop())

/** A connection, and how often it was told what rows look like. */
async function connect(t: Test, options: object = {}) {
  const client = new pg.Client({ connectionString: made.url, ...options })
  await client.connect()
  t.teardown(() => client.end())
  let described = 0
  ;(client as unknown as { connection: NodeJS.EventEmitter }).connection.on('rowDescription', () => {
    described++
  })
  return { client, described: () => described }
}

const TEXT = `select n as number, n::int8 as large, n = 2 as boolean, nullif(n, 2) as other, '{"a":[1]}'::json as json,
  timestamptz '2026-01-02 03:04:05.678Z' as time, '\\x0102'::bytea as bytes, array['x', null] as list
  from generate_series(1, $1::int) n`

const rowsOf = (upTo: number) =>
  Array.from({ length: upTo }, (_, i) => ({
    number: i + 1,
    large: `${i + 1}`,
    boolean: i === 1,
    other: i === 1 ? null : i + 1,
    json: { a: [1] },
    time: new Date('2026-01-02T03:04:05.678Z'),
    bytes: Buffer.from([1, 2]),
    list: ['x', null]
  }))

for (const pipeline of [false, true]) {
  t.test(`rows are the same however often they were described, pipelined: ${pipeline}`, async (t) => {
    const { client, described } = await connect(t, { pipeline })
    for (const upTo of [0, 2, 3, 0, 1]) {
      const result = await run(client, { name: 'numbers', text: TEXT, values: [upTo] })
      t.same(result.rows, rowsOf(upTo))
      t.equal(result.rowCount, upTo)
    }
    t.equal(described(), 1)
    const other = await run(client, { name: 'other', text: 'select $1::text as text', values: ['x'] })
    t.same(other.rows, [{ text: 'x' }])
    t.equal(described(), 2, 'each statement once')
    await run(client, { text: 'select $1::text as text', values: ['x'] })
    t.same((await run(client, { text: 'select $1::int as int', values: [1] })).rows, [{ int: 1 }])
    t.equal(described(), 4, 'one without a name each time')
  })
}

t.test('sent at once, all get their own rows', async (t) => {
  const { client } = await connect(t, { pipeline: true })
  const statement = (i: number) => ({ name: `numbers ${i % 3}`, text: `${TEXT} -- ${i % 3}`, values: [i] })
  const results = await Promise.all(Array.from({ length: 12 }, (_, i) => run(client, statement(i))))
  for (const [i, { rows }] of results.entries()) t.same(rows, rowsOf(i))
})

t.test('rows that would look otherwise are refused, not misread', async (t) => {
  const { client } = await connect(t)
  await run(client, { text: 'create temporary table things (a int)' })
  await run(client, { text: 'insert into things values (1)' })
  const query = { name: 'things', text: 'select * from things', values: [] }
  for (let i = 0; i < 2; i++) t.same((await run(client, query)).rows, [{ a: 1 }])
  await run(client, { text: `alter table things add b text default 'b'` })
  await t.rejects(run(client, query), { code: '0A000' })
  t.same((await run(client, { text: 'select 1 as one' })).rows, [{ one: 1 }], 'and the connection goes on')
})

t.test('a failing statement says why, and fails no other', async (t) => {
  const { client } = await connect(t, { pipeline: true })
  const divide = (by: number) =>
    run(client, { name: 'divide', text: 'select 6 / $1::int as result', values: [by] })
  const results = await Promise.allSettled([divide(1), divide(0), divide(2), divide(0), divide(3)])
  t.match(results, [
    { value: { rows: [{ result: 6 }] } },
    { reason: { code: '22012' } },
    { value: { rows: [{ result: 3 }] } },
    { reason: { code: '22012' } },
    { value: { rows: [{ result: 2 }] } }
  ])
  const error = await divide(0).catch((reason) => reason)
  t.match(error.stack, /query\.test\.ts/, 'and from where it was sent')
  t.same((await divide(6)).rows, [{ result: 1 }])
})
