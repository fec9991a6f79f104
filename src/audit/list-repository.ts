import { type Expression, type Kysely, type RawBuilder, type SqlBool, sql } from 'kysely'
import { rolesAtLeast } from '../auth/roles.ts'
import type { Database } from '../db/database.ts'
import { type Params, prepared } from '../db/prepared.ts'
import type { Row, Tables } from '../db/tables.ts'
import { columns } from './event-repository.ts'

export interface AuditFilter {
  credentialId?: string
  projectId?: string
  actorId?: string
  action?: string
  outcome?: 'allowed' | 'denied'
  since?: Date | undefined
  until?: Date | undefined
  /** The `below` of the previous page. */
  below?: string | undefined
}

export type EventRow = Row<'audit_log', (typeof columns)[number]>

export interface AuditPage {
  rows: EventRow[]
  /** The id below which the next page starts, or null if there are no more events. */
  below: string | null
}

/** The maximum number of events that a page searches. Bounds the cost of a page if few of them match. */
const MAX_SCANNED = 1_000
/** The maximum number of index entries that a page reads if they belong to many projects. */
const MAX_MERGED = 10_000
/**
 * The maximum difference between the time in an event's id, from the replica's clock, and the event's time.
 */
const CLOCK_TOLERANCE_MS = 10 * 60_000

interface PageParams {
  /** Null for an administrator, who sees all events. */
  viewer: string | null
  credentialId: string | null
  projectId: string | null
  actorId: string | null
  action: string | null
  outcome: string | null
  since: Date | null
  until: Date | null
  /** The lowest id, and the id below which all ids are. */
  lowest: string
  below: string
  limit: number
}

type P = Params<PageParams>

const adminRoles = sql.join(rolesAtLeast('admin').map((role) => sql.lit(role)))

/** The projects that the viewer administers. */
const administered = (viewer: Expression<string | null>) => sql`(select project_id from project_members
  where user_id = ${viewer}::uuid and role in (${adminRoles}))`

const maxScanned = sql.lit(MAX_SCANNED)
/** The maximum number of entries that are read for each project. */
const share = (viewer: Expression<string | null>) => sql`(select greatest(1, least(${maxScanned},
  ${sql.lit(MAX_MERGED)} / greatest(1, count(*)))) from ${administered(viewer)} a)`

/** The newest ids that fit the condition, in the order of an index. */
const newest = (p: P, condition: RawBuilder<unknown>, limit: RawBuilder<unknown> | typeof maxScanned) =>
  sql`(select e.id from audit_log e
    where ${condition} and e.id < ${p.below}::uuid and e.id >= ${p.lowest}::uuid
    order by e.id desc limit ${limit})`

const one = (p: P, condition: RawBuilder<unknown>) =>
  sql`select null::uuid as project_id, ${maxScanned} as size, s.id from ${newest(p, condition, maxScanned)} s`

/** The index scans that a page is merged from: the project and the limit of a scan, with an id. */
const SCANS = {
  all: (p: P) => one(p, sql`true`),
  credential: (p: P) => one(p, sql`e.target_id = ${p.credentialId}::uuid`),
  actor: (p: P) => one(p, sql`e.actor_id = ${p.actorId}::uuid`),
  project: (p: P) => one(p, sql`e.project_id = ${p.projectId}::uuid`),
  /** Events of the user's own credentials, and of the projects that they administer. */
  visible: (p: P) => sql`${one(p, sql`e.owner_id = ${p.viewer}::uuid`)}
    union all
    select m.project_id, ${share(p.viewer)}, s.id from ${administered(p.viewer)} m
    cross join lateral ${newest(p, sql`e.project_id = m.project_id`, share(p.viewer))} s`
}

const isMatch = (p: P) => sql<SqlBool>`
  (${p.viewer}::uuid is null or e.owner_id = ${p.viewer}::uuid
    or e.project_id = any(array(${administered(p.viewer)})))
  and (${p.credentialId}::uuid is null
    or e.target_type = 'credential' and e.target_id = ${p.credentialId}::uuid)
  and (${p.projectId}::uuid is null or e.project_id = ${p.projectId}::uuid)
  and (${p.actorId}::uuid is null or e.actor_id = ${p.actorId}::uuid)
  and (${p.action}::text is null or e.action = ${p.action}::text)
  and (${p.outcome}::text is null or e.outcome = ${p.outcome}::text)
  and (${p.since}::timestamptz is null or e.occurred_at >= ${p.since}::timestamptz)
  and (${p.until}::timestamptz is null or e.occurred_at < ${p.until}::timestamptz)`

const eventColumns = sql.raw(columns.map((column) => `e.${column}`).join(', '))

type Found = { [Column in keyof EventRow]: EventRow[Column] | null } & { scanned_to: string | null }

/**
 * Reads ids from indexes, and then the events of the newest ids, down to the first id that a scan may have
 * left out. Each row has `scanned_to`, the id down to which the result is complete, or null if the scans have
 * ended. If no event matches, there is one row without an id.
 */
const pageOf = (scans: (p: P) => RawBuilder<unknown>) =>
  prepared(
    (db: Kysely<Tables>, p: P) =>
      db
        .selectFrom(
          sql<Found>`(
            with scanned as materialized (${scans(p)}),
            -- A scan that was stopped by its limit may have left out what is below its last id.
            stopped as materialized (
              select id from (
                select distinct on (project_id) id,
                  count(*) over (partition by project_id) >= size as at_limit
                from scanned order by project_id, id) ends
              where at_limit order by id desc limit 1),
            candidates as materialized (
              select distinct id from scanned
              where id >= coalesce((select id from stopped), ${p.lowest}::uuid)
              order by id desc limit ${maxScanned}),
            page as (
              -- Each is found by its key, in its partition. A join may read all partitions.
              select ${eventColumns} from candidates c
              cross join lateral (select ${eventColumns} from audit_log e where e.id = c.id offset 0) e
              where ${isMatch(p)} order by c.id desc limit ${p.limit}::int)
            select page.*, case
                when (select count(*) from candidates) >= ${maxScanned}
                  then (select id from candidates order by id limit 1)
                else (select id from stopped) end as scanned_to
              from (select 1) one left join page on true)`.as('e')
        )
        .select([...columns, 'scanned_to'])
        .orderBy('id', 'desc'),
    { pool: 'longReads' }
  )

const pages = {
  all: pageOf(SCANS.all),
  credential: pageOf(SCANS.credential),
  actor: pageOf(SCANS.actor),
  project: pageOf(SCANS.project),
  visible: pageOf(SCANS.visible)
}

/**
 * Returns one page, newest first, of at most `limit` events. It searches a limited part of the log, so it may
 * have fewer events, or none, although there are more. With `viewer`, the page has only the events that this
 * user may see.
 */
export async function listEvents(
  db: Database,
  viewer: string | undefined,
  filter: AuditFilter,
  limit: number
): Promise<AuditPage> {
  const { since, until } = filter
  const params: PageParams = {
    viewer: viewer ?? null,
    credentialId: filter.credentialId ?? null,
    projectId: filter.projectId ?? null,
    actorId: filter.actorId ?? null,
    action: filter.action ?? null,
    outcome: filter.outcome ?? null,
    since: since ?? null,
    until: until ?? null,
    lowest: since ? idOf(since.getTime() - CLOCK_TOLERANCE_MS) : idOf(0),
    below: lowest(filter.below, until && idOf(until.getTime() + CLOCK_TOLERANCE_MS)),
    limit: limit + 1
  }
  const key = filter.credentialId
    ? 'credential'
    : filter.actorId
      ? 'actor'
      : filter.projectId
        ? 'project'
        : 'all'
  if (viewer === undefined) return read(db, key, params, limit)
  // The index by key finds the events directly, unless many of them are hidden from the viewer. The viewer
  // must not learn how many are hidden.
  const page = key === 'all' ? undefined : await read(db, key, params, limit)
  if (page && (page.below === null || page.below === page.rows.at(-1)?.id)) return page
  return read(db, 'visible', params, limit)
}

async function read(
  db: Database,
  by: keyof typeof pages,
  params: PageParams,
  limit: number
): Promise<AuditPage> {
  const found = await pages[by](db, params)
  const rows = found.filter((row): row is EventRow & Found => row.id !== null).slice(0, limit)
  const below = found.length > limit ? rows.at(-1)!.id : found[0]!.scanned_to
  return { rows, below }
}

/** Returns the lowest UUIDv7 of a time in milliseconds (RFC 9562, 5.7). */
function idOf(time: number): string {
  const hex = Math.max(0, time).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`
}

const HIGHEST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

function lowest(one = HIGHEST_ID, other = HIGHEST_ID): string {
  return one.toLowerCase() < other ? one.toLowerCase() : other
}
