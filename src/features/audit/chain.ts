import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import { type Database, inTransaction, lockName } from '../../db/database.ts'

const BATCH = 500
/** Before the first event. */
const GENESIS = Buffer.alloc(32)

// Everything of an event but its hash, as text that Postgres writes in one way.
const COLUMNS = [
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
].join(', ')

interface EventText {
  id: string
  /** A JSON array of them. */
  content: string
  position: number | null
  hash: Buffer | null
}

/** SHA-256 over the hash before it and the event: its position and every column, as a JSON array. */
function hashOf(previous: Buffer, position: number, content: string): Buffer {
  return createHash('sha256')
    .update(previous)
    .update(JSON.stringify([position, ...JSON.parse(content)]))
    .digest()
}

export interface Head {
  position: number
  hash: Buffer
}

/** The last sealed event's position and hash; position 0 before the first. */
export async function findHead(db: Database): Promise<Head> {
  const row = await db
    .selectFrom('audit_events')
    .where('position', 'is not', null)
    .select(['position', 'hash'])
    .orderBy('position', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row ? { position: row.position!, hash: row.hash! } : { position: 0, hash: GENESIS }
}

/**
 * Gives the next events their places in the chain, a batch at the most, and gives how many it was. Replicas that do it
 * at once take turns. A denial waits until its minute is over, since it is counted until then.
 */
export function sealBatch(db: Database): Promise<number> {
  return inTransaction(db, async (trx) => {
    await lockName(trx, 'audit-chain')
    const head = await findHead(trx)
    const { rows } =
      await sql<EventText>`select id, array_to_json(array[${sql.raw(COLUMNS)}])::text as content, position, hash
      from audit_events
      where position is null and (outcome = 'allowed' or occurred_at < now() - interval '2 minutes')
      order by id limit ${BATCH} for update`.execute(trx)
    let { position, hash } = head
    const ids: string[] = []
    const positions: number[] = []
    const hashes: Buffer[] = []
    for (const row of rows) {
      hash = hashOf(hash, ++position, row.content)
      ids.push(row.id)
      positions.push(position)
      hashes.push(hash)
    }
    if (rows.length > 0) {
      await sql`update audit_events e set position = s.position, hash = s.hash
        from unnest(${ids}::uuid[], ${positions}::bigint[], ${hashes}::bytea[]) s(id, position, hash)
        where e.id = s.id`.execute(trx)
    }
    return rows.length
  })
}

export interface Verdict {
  /** How many events are sealed and right. */
  verified: number
  unsealed: number
  head: Head
  /** The first event that was changed, removed or inserted. */
  broken: { position: number; id: string | undefined; what: 'changed' | 'missing' } | undefined
}

/** Walks the chain from its beginning and names the first event that is not as it was sealed. */
export async function verifyChain(db: Database): Promise<Verdict> {
  let head: Head = { position: 0, hash: GENESIS }
  const { rows: counted } = await sql<{ unsealed: number }>`
    select count(*) as unsealed from audit_events where position is null`.execute(db)
  const verdict = (broken: Verdict['broken']): Verdict => ({
    verified: head.position,
    unsealed: counted[0]!.unsealed,
    head,
    broken
  })
  for (;;) {
    const { rows } =
      await sql<EventText>`select id, array_to_json(array[${sql.raw(COLUMNS)}])::text as content, position, hash
      from audit_events where position > ${head.position} order by position limit ${BATCH}`.execute(db)
    if (rows.length === 0) return verdict(undefined)
    for (const row of rows) {
      const position = head.position + 1
      if (row.position !== position) return verdict({ position, id: undefined, what: 'missing' })
      const hash = hashOf(head.hash, position, row.content)
      if (!row.hash?.equals(hash)) return verdict({ position, id: row.id, what: 'changed' })
      head = { position, hash }
    }
  }
}
