// Measures how the service seals while it serves requests. Inserts events at a fixed rate, like those of
// resolves of 100 credentials, after a backlog, and sends reads at the same time. Usage:
//   npm run bench:sealing-load -- [--rate 10000] [--backlog 0] [--seconds 20] [--checkout DIR]
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type pg from 'pg'
import { newRootKey } from '../src/root-keys/local.ts'
import { fill, insertEvents } from './audit-events.ts'
import { openPostgres, type Postgres, withClient } from './postgres.ts'
import { startService } from './service.ts'

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '10000' },
    backlog: { type: 'string', default: '0' },
    seconds: { type: 'string', default: '20' },
    checkout: { type: 'string', default: resolve(import.meta.dirname, '..') }
  }
})
const [rate, backlog, seconds] = [Number(values.rate), Number(values.backlog), Number(values.seconds)]
const DATABASE = 'latchkey_bench_load'
const WRITERS = 4
const READERS = 4
const EACH = 100
const ADMIN = { email: 'admin@example.org', password: 'correct horse battery' }

/** Inserts its share of the events until the time is over. */
async function write(url: string, until: number): Promise<number> {
  return withClient(url, async (client) => {
    const start = performance.now()
    let done = 0
    for (; performance.now() < until; done += EACH) {
      await insertEvents(client, EACH)
      const due = start + ((done + EACH) / (rate / WRITERS)) * 1000
      await sleep(Math.max(0, due - performance.now()))
    }
    return done
  })
}

/** Sends one read after another, and returns the milliseconds of each. */
async function read(origin: string, cookie: string, until: number): Promise<number[]> {
  const times: number[] = []
  while (performance.now() < until) {
    const start = performance.now()
    const answer = await fetch(`${origin}/api/v1/app-credentials`, { headers: { cookie } })
    await answer.text()
    if (answer.status !== 200) throw new Error(`the service returned ${answer.status}`)
    times.push(performance.now() - start)
  }
  return times
}

async function positionOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query('select position from audit_chain order by position desc limit 1')
  return Number(rows[0]?.position ?? 0)
}

/** Returns the longest time in seconds that a settled event has waited for its seal. */
async function watchLag(client: pg.Client, until: number): Promise<number> {
  let longest = 0
  for (; performance.now() < until; await sleep(250)) {
    const { rows } = await client.query(`select extract(epoch from now() - settled_at)::float8 as seconds
      from audit_unsealed where settled_at <= now() order by event_id limit 1`)
    longest = Math.max(longest, rows[0]?.seconds ?? 0)
  }
  return longest
}

async function signIn(origin: string): Promise<string> {
  const answer = await fetch(`${origin}/api/v1/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(ADMIN)
  })
  return answer.headers.get('set-cookie')!.split(';')[0]!
}

async function run(postgres: Postgres, signal: AbortSignal): Promise<void> {
  await postgres.create(DATABASE)
  const url = postgres.urlOf(DATABASE)
  const env = {
    DATABASE_URL: url,
    LATCHKEY_ROOT_KEYS: newRootKey('bench'),
    LATCHKEY_ADMIN_EMAIL: ADMIN.email,
    LATCHKEY_ADMIN_PASSWORD: ADMIN.password
  }
  // The first start creates the tables.
  await (await startService(values.checkout, env, signal)).stop()
  await fill(url, backlog)
  const service = await startService(values.checkout, env, signal)
  try {
    const cookie = await signIn(service.origin)
    await withClient(url, async (client) => {
      const before = await positionOf(client)
      const until = performance.now() + seconds * 1000
      const [lag, written, times] = await Promise.all([
        watchLag(client, until),
        Promise.all(Array.from({ length: rate > 0 ? WRITERS : 0 }, () => write(url, until))),
        Promise.all(Array.from({ length: READERS }, () => read(service.origin, cookie, until)))
      ])
      const sealed = (await positionOf(client)) - before
      const inserted = written.reduce((sum, count) => sum + count, 0)
      const sorted = times.flat().sort((a, b) => a - b)
      const at = (part: number) => sorted[Math.floor(sorted.length * part)]?.toFixed(1)
      const perSecond = (count: number) => Math.round(count / seconds).toLocaleString('en')
      process.stdout.write(
        `${perSecond(inserted)} events/s inserted, ${perSecond(sealed)} sealed, longest wait ` +
          `${lag.toFixed(1)} s; ${perSecond(sorted.length)} reads/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms\n`
      )
    })
  } finally {
    await service.stop()
    await postgres.drop(DATABASE)
  }
}

const directory = await mkdtemp(join(tmpdir(), 'latchkey-bench-'))
const postgres = await openPostgres(process.env.BENCH_DATABASE_URL, directory)
try {
  await run(postgres, new AbortController().signal)
} finally {
  await postgres.close()
  await rm(directory, { recursive: true, force: true })
}
