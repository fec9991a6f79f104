import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import { type Database, inTransaction, lockName } from '../db/database.ts'

const BATCH = 500
/** Before the first event. */
const GENESIS = Buffer.alloc(32)

// Everything of an event but its place in the chain, as text that Postgres writes in one way.
const CONTENT = sql.raw(
  `array_to_json(array[${[
    'id::text',
    '(extract(epoch from occurred_at) * 1000000)::bigint::text',
    'action',
    'outcome',
    'actor_type',
    'actor_id::text',
    'actor_name',
    'target_type',
    'target_id::text',
    'target_name',
    'owner_id::text',
    'project_id::text',
    'ip',
    'user_agent',
    'request_id',
    'details::text',
    'count::text'
  ].join(', ')}])::text`
)

/**
 * SHA-256 over the hash before it and the event: its position and every column, as a JSON array. Postgres writes arrays of
 * texts as JSON.stringify does.
 */
function hashOf(previous: Buffer, position: number, content: string): Buffer {
  return createHash('sha256')
    .update(previous)
    .update(`[${position},${content.slice(1)}`)
    .digest()
}

export interface Head {
  position: number
  hash: Buffer
}

/** The last sealed event's position and hash; position 0 before the first. */
export async function findHead(db: Database): Promise<Head> {
  const head = await db
    .selectFrom('audit_chain')
    .select(['position', 'hash'])
    .orderBy('position', 'desc')
    .limit(1)
    .executeTakeFirst()
  return head ?? { position: 0, hash: GENESIS }
}

/**
 * Gives the next events that are settled their places in the chain, a batch at the most, and gives how many it was.
 * Replicas that do it at once take turns.
 */
export function sealBatch(db: Database): Promise<number> {
  return inTransaction(db, async (trx) => {
    await lockName(trx, 'audit-chain')
    // Before they are read: who is counting one is waited for. What is there is looked up one by one: no plan is to read all
    // events for the few that are new.
    const { rows: taken } = await sql<{ id: string }>`delete from audit_unsealed
      where event_id in (
        select event_id from audit_unsealed u
        where settled_at <= now() and (select id from audit_events where id = u.event_id) is not null
        order by event_id limit ${BATCH})
      returning event_id as id`.execute(trx)
    if (taken.length === 0) return 0
    const { rows } = await sql<{
      id: string
      content: string
    }>`select id, ${CONTENT} as content from audit_events e
      where id = any(${taken.map(({ id }) => id)}::uuid[])
        and not exists (select from audit_chain where event_id = e.id)
      order by id`.execute(trx)
    let { position, hash } = await findHead(trx)
    const positions: number[] = []
    const hashes: Buffer[] = []
    for (const { content } of rows) {
      hash = hashOf(hash, ++position, content)
      positions.push(position)
      hashes.push(hash)
    }
    await sql`insert into audit_chain (position, event_id, hash)
      select s.position, s.id, s.hash
      from unnest(${positions}::bigint[], ${rows.map(({ id }) => id)}::uuid[], ${hashes}::bytea[])
        s(position, id, hash)`.execute(trx)
    return taken.length
  })
}

/** An event that is not as it was recorded; one that is neither in the chain nor to be sealed was added past it. */
export interface Broken {
  what: 'changed' | 'missing' | 'added'
  /** In the chain, if it has one. */
  position?: number
  id?: string
}

export interface Verdict {
  /** How many events are sealed and right. */
  verified: number
  unsealed: number
  head: Head
  broken: Broken | undefined
}

/** Walks the chain from its beginning, then looks whether all events are in it, and names the first that is not right. */
export async function verifyChain(db: Database): Promise<Verdict> {
  let head: Head = { position: 0, hash: GENESIS }
  const unsealed = await db
    .selectFrom('audit_unsealed')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  const verdict = (broken: Broken | undefined): Verdict => ({
    verified: head.position,
    unsealed: unsealed.count,
    head,
    broken
  })
  for (;;) {
    const { rows } = await sql<{ position: number; id: string; hash: Buffer; content: string | null }>`
      select c.position, c.event_id as id, c.hash, e.content
      from audit_chain c
      left join lateral (select ${CONTENT} as content from audit_events where id = c.event_id offset 0) e on true
      where c.position > ${head.position} order by c.position limit ${BATCH}`.execute(db)
    if (rows.length === 0) return verdict(await findUnplaced(db))
    for (const { id, content, ...row } of rows) {
      const position = head.position + 1
      if (row.position !== position) return verdict({ what: 'missing', position })
      if (content === null) return verdict({ what: 'missing', position, id })
      const hash = hashOf(head.hash, position, content)
      if (!row.hash.equals(hash)) return verdict({ what: 'changed', position, id })
      head = { position, hash }
    }
  }
}

/** An event that has no place, neither in the chain nor among those that are not sealed yet, or a place of no event. */
async function findUnplaced(db: Database): Promise<Broken | undefined> {
  return inTransaction(db, async (trx) => {
    // It reads all there is, at once: sealing may go on meanwhile.
    await sql`set local statement_timeout = 0`.execute(trx)
    const { rows } = await sql<Broken & { id: string }>`
      (select e.id, 'added' as what from audit_events e
        where not exists (select from audit_chain where event_id = e.id)
          and not exists (select from audit_unsealed where event_id = e.id) limit 1)
      union all
      (select u.event_id, 'missing' from audit_unsealed u
        where not exists (select from audit_events where id = u.event_id) limit 1)`.execute(trx)
    return rows[0]
  })
}
