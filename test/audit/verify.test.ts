import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { sql } from 'kysely'
import t from 'tap'
import { newRootKey } from '../../src/root-keys/local.ts'
import { runCli } from '../helpers/cli.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { insertEvents, sealAll } from '../helpers/sealing.ts'

t.setTimeout(300_000)

/** Verified in three ranges, of 2,000, 2,000 and 1,000 positions. */
const EVENTS = 5_000

const database = await createTestDatabase()
t.teardown(database.drop)
const { db } = database
await insertEvents(db, EVENTS)
await sealAll(db)
await sql`create table saved_events as table audit_log`.execute(db)
await sql`create table saved_chain as table audit_links`.execute(db)

type Statement = ReturnType<typeof sql>

const env = { DATABASE_URL: database.url, LATCHKEY_ROOT_KEYS: newRootKey('verify') }
const verify = (...words: string[]) => runCli(env, ['audit', 'verify', ...words])
const at = (position: number) => sql`(select event_id from audit_links where position = ${position})`

async function hashAt(position: number): Promise<string> {
  const { rows } = await sql<{ hash: Buffer }>`select hash from audit_links
    where position = ${position}`.execute(db)
  return rows[0]!.hash.toString('hex')
}

/** Runs the statements as a role that can disable triggers. */
function tamper(...statements: Statement[]): Promise<void> {
  return db.transaction().execute(async (trx) => {
    await sql`set local session_replication_role = replica`.execute(trx)
    for (const statement of statements) await statement.execute(trx)
  })
}

const restore = () =>
  tamper(
    ...[sql.table('events'), sql.table('chain')].flatMap((_, index) => {
      const [table, saved, key] = index
        ? [sql.table('audit_links'), sql.table('saved_chain'), sql.ref('event_id')]
        : [sql.table('audit_log'), sql.table('saved_events'), sql.ref('id')]
      return [
        sql`delete from ${table} where ${key} in
          (select ${key} from (select * from ${table} except select * from ${saved}) d)`,
        sql`insert into ${table} select * from (select * from ${saved} except select * from ${table}) d`
      ]
    })
  )

const HEAD = /Head: (\d+) ([0-9a-f]{64})/

t.test('a chain of several ranges is intact, also with --json', async (t) => {
  const { code, out, err } = await verify()
  t.match(
    [code, out],
    [0, new RegExp(`^${EVENTS} events are intact, 0 are not sealed yet. Head: ${EVENTS} `)]
  )
  t.equal(HEAD.exec(out)?.[2], await hashAt(EVENTS))
  t.match(err, /^Intact up to 2000:[0-9a-f]{64}\n/, 'standard error says where it can continue')
  t.equal(/2000:([0-9a-f]{64})/.exec(err)?.[1], await hashAt(2_000))
  const json = await verify('--json')
  t.same(
    [json.code, JSON.parse(json.out)],
    [
      0,
      {
        from: null,
        verified: EVENTS,
        unsealed: 0,
        head: { position: EVENTS, hash: await hashAt(EVENTS) },
        broken: null
      }
    ]
  )
})

t.test('tampering is found in each range, and the first position is reported', async (t) => {
  const cases: [name: string, statements: Statement[], message: RegExp][] = []
  // The first and the last position of ranges, and one within a range.
  for (const p of [1, 1_000, 2_000, 2_001, 4_000, 4_001, EVENTS])
    cases.push([
      `an event changed at ${p}`,
      [sql`update audit_log set outcome = 'denied' where id = ${at(p)}`],
      new RegExp(`at position ${p} of the hash chain was changed; ${p - 1} events before it are intact`)
    ])
  for (const p of [7, 2_000, 2_001, 4_900])
    cases.push(
      [
        `an event removed at ${p}`,
        [sql`delete from audit_log where id = ${at(p)}`],
        new RegExp(
          `event [0-9a-f-]{36} at position ${p} of the hash chain is missing; ${p - 1} events before`
        )
      ],
      [
        `an event and its link removed at ${p}`,
        [sql`delete from audit_log where id = ${at(p)}`, sql`delete from audit_links where position = ${p}`],
        new RegExp(
          `the event at position ${p} of the hash chain is missing; ${p - 1} events before it are intact`
        )
      ],
      [
        `a hash replaced at ${p}`,
        [sql`update audit_links set hash = sha256(hash) where position = ${p}`],
        new RegExp(`at position ${p} of the hash chain was changed; ${p - 1} events before it are intact`)
      ]
    )
  for (const [a, b] of [
    [2, 3],
    [2_000, 2_001],
    [5, 4_500]
  ] as const)
    cases.push([
      `${a} and ${b} swapped`,
      [
        sql`update audit_links set position = 1000000 where position = ${a}`,
        sql`update audit_links set position = ${a} where position = ${b}`,
        sql`update audit_links set position = ${b} where position = 1000000`
      ],
      new RegExp(`at position ${a} of the hash chain was changed`)
    ])
  cases.push(
    [
      'changes in two ranges',
      [sql`update audit_log set outcome = 'denied' where id in (${at(3_999)}, ${at(4_001)})`],
      /at position 3999 of the hash chain was changed/
    ],
    ...['00000000-0000-7000-8000-000000000000', '00000000-0000-0000-0000-000000000000'].map(
      (id): (typeof cases)[number] => [
        'an event added beside the chain',
        [
          sql`insert into audit_log (id, action, outcome, actor_type)
            values (${id}, 'test.added', 'allowed', 'system')`
        ],
        new RegExp(`event ${id} was added and is not in the hash chain; 5000 events in`)
      ]
    ),
    [
      'the last links removed, without their events',
      [sql`delete from audit_links where position > 4990`],
      /event [0-9a-f-]{36} was added and is not in the hash chain; 4990 events in the chain are intact/
    ]
  )
  for (const [name, statements, message] of cases) {
    await tamper(...statements)
    const { code, out, err } = await verify()
    t.match([code, out, err], [1, '', message], name)
    await restore()
  }
  t.equal((await verify()).code, 0, 'restored')
})

t.test('--from verifies only the events after that head', async (t) => {
  const noted = `2000:${await hashAt(2_000)}`
  await tamper(sql`update audit_log set outcome = 'denied' where id = ${at(3)}`)
  t.equal((await verify()).code, 1)
  const from = await verify('--from', noted)
  t.match([from.code, from.out], [0, /^3000 events after position 2000 are intact, 0 are not sealed yet\. /])
  await restore()

  const stray = sql`insert into audit_log (id, action, outcome, actor_type)
    values ('00000000-0000-7000-8000-000000000000', 'test.added', 'allowed', 'system')`
  await tamper(stray)
  t.match(
    await verify('--from', noted),
    { code: 1, err: /was added and is not in the hash chain/ },
    'an added event with an old id'
  )
  await restore()

  await tamper(sql`update audit_log set outcome = 'denied' where id = ${at(2_001)}`)
  const broken = await verify('--from', noted, '--json')
  t.match(
    [broken.code, broken.err],
    [1, /at position 2001 of the hash chain was changed; 0 events before it/]
  )
  t.match(JSON.parse(broken.out), {
    from: { position: 2_000 },
    verified: 0,
    head: { position: 2_000 },
    broken: { what: 'changed', position: 2_001, id: /^[0-9a-f-]{36}$/ }
  })
  await restore()

  const last = `${EVENTS}:${await hashAt(EVENTS)}`
  t.match(await verify('--from', last), { code: 0, out: /^0 events after position 5000 are intact/ })
  await tamper(
    sql`delete from audit_log where id in (select event_id from audit_links where position > 4000)`,
    sql`delete from audit_links where position > 4000`
  )
  t.equal((await verify()).code, 0, 'the chain alone does not show that its end was removed')
  t.match(await verify('--from', last), {
    code: 1,
    err: 'latchkey: the chain differs from the given head: it ends before position 4001\n'
  })
  // The service continues from the shortened chain.
  await insertEvents(db, 6_000)
  await sealAll(db)
  t.match(await verify('--from', last), {
    code: 1,
    err: 'latchkey: the chain differs from the given head at position 5000\n'
  })
  await tamper(sql`delete from audit_unsealed`)
  await restore()
})

t.test('an invalid head is refused in one line', async (t) => {
  const hash = await hashAt(1)
  for (const text of ['', '1', `0:${hash}`, `1:${hash}0`, `1:${hash.slice(1)}`, `x:${hash}`, `-1:${hash}`]) {
    const { code, out, err } = await verify(`--from=${text}`)
    t.match([code, out, err], [1, '', /^latchkey: --from takes a position and a hash[^\n]*\n$/], text)
  }
  t.match(await verify('--from', `9999999999:${hash}`), { code: 1, err: /it ends before position 5001\n$/ })
})

t.test('an interrupted verification continues from the head that it printed', async (t) => {
  const { PATH = '' } = process.env
  const cli = join(import.meta.dirname, '../../src/cli.ts')
  const child = spawn(process.execPath, [cli, 'audit', 'verify'], { env: { PATH, ...env }, stdio: 'pipe' })
  let err = ''
  child.stderr.on('data', (chunk) => {
    err += chunk
    child.kill('SIGINT')
  })
  const code = await new Promise((resolve) => child.on('close', resolve))
  // It may finish before the signal arrives.
  t.ok(code === 130 || code === 0, `${code}`)
  const [, head, position] = /^.*Intact up to ((\d+):[0-9a-f]{64})\n/s.exec(err) ?? []
  const resumed = await verify('--from', head!)
  t.match([resumed.code, resumed.out], [0, new RegExp(`^${EVENTS - Number(position)} events after`)])
  t.equal(HEAD.exec(resumed.out)?.[2], await hashAt(EVENTS))
})
