import { sql } from 'kysely'
import { rolesAtLeast } from '../auth/roles.ts'
import type { Database } from '../db/database.ts'

const columns = [
  'e.id',
  'e.occurred_at',
  'e.action',
  'e.outcome',
  'e.actor_type',
  'e.actor_id',
  'e.actor_name',
  'e.target_type',
  'e.target_id',
  'e.target_name',
  'e.project_id',
  'e.ip',
  'e.user_agent',
  'e.request_id',
  'e.details',
  'e.count'
] as const

export interface AuditFilter {
  credentialId?: string
  projectId?: string
  actorId?: string
  action?: string
  outcome?: 'allowed' | 'denied'
  from?: Date
  to?: Date
  /** The id of the last event of the page before. */
  cursor?: string
}

/** One page, newest first. `viewer`: only what that user may see; undefined: everything. */
export function listEvents(db: Database, viewer: string | undefined, filter: AuditFilter, limit: number) {
  return db
    .selectFrom('audit_events as e')
    .select(columns)
    .$if(viewer !== undefined, (query) =>
      query.where((eb) =>
        eb.or([
          eb('e.owner_id', '=', viewer!),
          eb(
            'e.project_id',
            'in',
            eb
              .selectFrom('project_members as m')
              .where('m.user_id', '=', viewer!)
              .where('m.role', 'in', rolesAtLeast('admin'))
              .select('m.project_id')
          )
        ])
      )
    )
    .$if(filter.credentialId !== undefined, (query) =>
      query.where('e.target_type', '=', 'credential').where('e.target_id', '=', filter.credentialId!)
    )
    .$if(filter.projectId !== undefined, (query) => query.where('e.project_id', '=', filter.projectId!))
    .$if(filter.actorId !== undefined, (query) => query.where('e.actor_id', '=', filter.actorId!))
    .$if(filter.action !== undefined, (query) => query.where('e.action', '=', filter.action!))
    .$if(filter.outcome !== undefined, (query) => query.where('e.outcome', '=', filter.outcome!))
    .$if(filter.from !== undefined, (query) => query.where('e.occurred_at', '>=', filter.from!))
    .$if(filter.to !== undefined, (query) => query.where('e.occurred_at', '<', filter.to!))
    .$if(filter.cursor !== undefined, (query) => query.where(sql<boolean>`e.id < ${filter.cursor}::uuid`))
    .orderBy('e.id', 'desc')
    .limit(limit)
    .execute()
}

export type EventRow = Awaited<ReturnType<typeof listEvents>>[number]

/** The next events, oldest first, with their places in the chain. */
export function listEventsAfter(db: Database, id: string, limit: number) {
  return db
    .selectFrom('audit_events as e')
    .leftJoin('audit_chain as c', 'c.event_id', 'e.id')
    .select([...columns, 'c.position', 'c.hash'])
    .where(sql<boolean>`e.id > ${id}::uuid`)
    .orderBy('e.id')
    .limit(limit)
    .execute()
}

/** How many events have no place in the chain yet, counted up to `atMost`. */
export async function countUnsealed(db: Database, atMost: number): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*) as count
    from (select from audit_unsealed limit ${atMost}) unsealed`.execute(db)
  return rows[0]!.count
}
