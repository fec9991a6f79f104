// Measures how fast audit events are sealed and verified. Fills two equal databases and alternates between
// them: one with the code of this checkout, one with that of `--against`, if given. Usage:
//   npm run bench:sealing -- [--events 200000] [--against DIR]
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { createDatabase } from '../src/db/database.ts'
import { migrate, WITHOUT_LIMITS } from '../src/db/migrate.ts'
import { fill } from './audit-events.ts'
import { DatabaseCpu } from './cpu.ts'
import { openPostgres, type Postgres, TEMPLATE, withClient } from './postgres.ts'

const { values } = parseArgs({
  options: { events: { type: 'string', default: '200000' }, against: { type: 'string' } }
})
const events = Number(values.events)
if (!Number.isSafeInteger(events) || events < 1) throw new Error('--events takes a positive integer')

/** The part of a checkout that is measured. Version 1.0.0 has `sealBatch`, later ones `sealEvents`. */
interface Chain {
  sealBatch?(db: unknown): Promise<number>
  sealEvents?(db: unknown): Promise<void>
  verifyChain(db: unknown): Promise<{ verified: number; broken: unknown }>
}

interface Side {
  name: string
  chain: Chain
  database: string
  db: ReturnType<typeof createDatabase>
}

async function openSide(postgres: Postgres, name: string, directory: string): Promise<Side> {
  const modules = await Promise.all(
    ['chain', 'verify'].map((name) => import(join(directory, `src/audit/${name}.ts`)).catch(() => ({})))
  )
  const chain: Chain = Object.assign({}, ...modules)
  const { createDatabase: create }: { createDatabase: typeof createDatabase } = await import(
    join(directory, 'src/db/database.ts')
  )
  const database = await postgres.copy(name)
  return { name, chain, database, db: create({ connectionString: postgres.urlOf(database) }) }
}

interface Measured {
  perSecond: number
  nodeMicros: number
  postgresMicros: number | null
}

async function measure(postgres: Postgres, side: Side, work: () => Promise<number>): Promise<Measured> {
  const cpu = new DatabaseCpu(postgres, side.database)
  const postgresBefore = await cpu.sample()
  const nodeBefore = process.cpuUsage()
  const start = performance.now()
  const count = await work()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(nodeBefore)
  const postgresAfter = await cpu.sample()
  return {
    perSecond: count / seconds,
    nodeMicros: (user + system) / count,
    postgresMicros: postgresAfter === null ? null : (postgresAfter - (postgresBefore ?? 0)) / count
  }
}

function report(what: string, side: string, { perSecond, nodeMicros, postgresMicros }: Measured): void {
  const rate = Math.round(perSecond).toLocaleString('en')
  const postgres = postgresMicros?.toFixed(1) ?? '?'
  const cpu = `per event: ${nodeMicros.toFixed(1)} µs in Node, ${postgres} µs in Postgres`
  process.stdout.write(`${what.padEnd(7)} ${side.padEnd(6)} ${rate.padStart(8)} events/s; ${cpu}\n`)
}

async function sealAll({ chain, db }: Side): Promise<number> {
  if (chain.sealEvents) await chain.sealEvents(db)
  else while ((await chain.sealBatch!(db)) > 0) {}
  return events
}

async function verifyAll({ chain, db }: Side): Promise<number> {
  const { verified, broken } = await chain.verifyChain(db)
  if (broken || verified < events) throw new Error(`the chain is broken: ${JSON.stringify(broken)}`)
  return verified
}

async function bytesPerEvent({ database }: Side, postgres: Postgres): Promise<void> {
  await withClient(postgres.urlOf(database), async (client) => {
    const { rows } = await client.query(`select
      (select sum(pg_table_size(relid)) from pg_partition_tree('audit_log')) as heap,
      (select sum(pg_indexes_size(relid)) from pg_partition_tree('audit_log')) as indexes,
      (select sum(pg_total_relation_size(relid)) from pg_partition_tree('audit_links')) as chain`)
    const bytes = (key: string) => Math.round(Number(rows[0][key]) / events)
    process.stdout.write(
      `bytes per event: ${bytes('heap')} in the table, ${bytes('indexes')} in its indexes, ` +
        `${bytes('chain')} in the hash chain\n`
    )
  })
}

async function run(postgres: Postgres): Promise<void> {
  await postgres.create(TEMPLATE)
  const db = createDatabase({ connectionString: postgres.urlOf(TEMPLATE), ...WITHOUT_LIMITS })
  await migrate(db).finally(() => db.destroy())
  await fill(postgres.urlOf(TEMPLATE), events)
  const sides = [await openSide(postgres, 'this', resolve(import.meta.dirname, '..'))]
  if (values.against) sides.unshift(await openSide(postgres, 'before', resolve(values.against)))
  try {
    for (const side of sides) {
      report('sealed', side.name, await measure(postgres, side, () => sealAll(side)))
      await withClient(postgres.urlOf(side.database), (client) => client.query('vacuum analyze'))
    }
    for (const side of sides)
      report('verified', side.name, await measure(postgres, side, () => verifyAll(side)))
    await bytesPerEvent(sides.at(-1)!, postgres)
  } finally {
    for (const side of sides) {
      await side.db.destroy()
      await postgres.drop(side.database)
    }
  }
}

const directory = await mkdtemp(join(tmpdir(), 'latchkey-bench-'))
const postgres = await openPostgres(process.env.BENCH_DATABASE_URL, directory)
try {
  await run(postgres)
} finally {
  await postgres.close()
  await rm(directory, { recursive: true, force: true })
}
