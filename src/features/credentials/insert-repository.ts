import { sql } from 'kysely'
import { insertEvents } from '../../audit/event-repository.ts'
import { askedRows, byNumber, type SqlTypes, textOf } from '../../db/batch-query.ts'
import type { Database } from '../../db/database.ts'
import { type Params, prepared } from '../../db/prepared.ts'
import { projectsAsJson } from './repository.ts'
import type { SealedKeys } from './sealing.ts'

export interface NewCredentialRow extends SealedKeys {
  id: string
  ownerId: string
  typeId: string
  typeRevision: number
  name: string
  description: string | null
  externalId: string | null
  expiresAt: Date | null
  environmentNames: string[]
  projectIds: string[]
  linkIds: string[]
  /** Of audit events, as `insertEvents` takes them. */
  events: object[]
}

const TYPES: SqlTypes<NewCredentialRow> = {
  id: 'uuid',
  ownerId: 'uuid',
  typeId: 'uuid',
  typeRevision: 'int',
  name: 'text',
  description: 'text',
  externalId: 'text',
  expiresAt: 'timestamptz',
  environmentNames: 'text[]',
  projectIds: 'uuid[]',
  linkIds: 'uuid[]',
  environments: 'text[]',
  fieldIds: 'uuid[]',
  values: 'bytea[]',
  dataKeyNo: 'int',
  events: 'jsonb'
}

const PROPERTIES = Object.keys(TYPES) as (keyof NewCredentialRow)[]

const insertAll = prepared((db, p: Params<{ asked: string }>) =>
  db
    .with(
      (cte) => cte('asked').materialized(),
      (q) => q.selectFrom(askedRows(p.asked, TYPES)).select(['asked_number', ...PROPERTIES])
    )
    .with('type', (q) =>
      q
        .selectFrom('credential_types')
        .where('id', 'in', (eb) => eb.selectFrom('asked').select('typeId'))
        .select(['id', 'type_name', 'revision'])
        .forKeyShare()
    )
    // Before anything is made: who changes a project waits for its new credentials, and not the other way round.
    .with('project', (q) =>
      q
        .selectFrom('projects')
        .where(sql<boolean>`id in (select unnest("projectIds") from asked)`)
        .select('id')
        .orderBy('id')
        .forKeyShare()
    )
    .with('made', (q) =>
      q
        .insertInto('credentials')
        .columns(['id', 'owner_id', 'type_id', 'name', 'description', 'external_id', 'expires_at'])
        .expression((eb) =>
          eb
            .selectFrom('asked as a')
            .innerJoin('type', (join) =>
              join.onRef('type.id', '=', 'a.typeId').onRef('type.revision', '=', 'a.typeRevision')
            )
            .where(sql<boolean>`cardinality(a."projectIds") = (select count(*) from project p
              join project_members m on m.project_id = p.id
              where m.user_id = a."ownerId" and m.role in ('owner', 'admin', 'editor')
                and p.id = any(a."projectIds"))`)
            .select([
              'a.id',
              'a.ownerId',
              'a.typeId',
              'a.name',
              'a.description',
              'a.externalId',
              'a.expiresAt'
            ])
            // In one order for all, so that two that take the same names do not wait for each other.
            .orderBy(sql`lower(a.name)`)
        )
        .returning(['id', 'type_id', 'revision', 'sealed_revision', 'created_at', 'updated_at'])
    )
    .with('done', (q) =>
      q
        .selectFrom('asked')
        .where('id', 'in', (eb) => eb.selectFrom('made').select('id'))
        .select(PROPERTIES)
    )
    .with('environment', (q) =>
      q
        .insertInto('credential_environments')
        .columns(['credential_id', 'name'])
        .expression((eb) =>
          eb.selectFrom('done').select(['id', sql<string>`unnest("environmentNames")`.as('name')])
        )
    )
    .with('key', (q) =>
      q
        .insertInto('credential_keys')
        .columns(['credential_id', 'environment', 'field_id', 'value', 'data_key_no'])
        .expression(
          (eb) =>
            eb
              .selectFrom([
                'done',
                sql`unnest(environments, "fieldIds", "values")`.as<'k'>(sql`k(environment, field_id, value)`)
              ])
              .select(sql<never>`id, environment, field_id, value, "dataKeyNo"` as never) as never
        )
    )
    .with('link', (q) =>
      q
        .insertInto('credential_projects')
        .columns(['id', 'credential_id', 'project_id', 'assigned_by'])
        .expression(
          sql`select l.id, done.id, l.project_id, "ownerId" from done, unnest("linkIds", "projectIds") l(id, project_id)` as never
        )
    )
    .with('recorded', (q) => insertEvents(q as never, sql.ref('done.events'), sql`done`))
    .selectFrom('made')
    .innerJoin('asked', 'asked.id', 'made.id')
    .innerJoin('type', 'type.id', 'made.type_id')
    .select(['asked.asked_number', 'type.type_name'])
    .select(['made.revision', 'made.sealed_revision', 'made.created_at', 'made.updated_at'])
    .select(projectsAsJson(sql`projects p where p.id = any(asked."projectIds")`).as('projects'))
)

type Inserted = Omit<Awaited<ReturnType<typeof insertAll>>[number], 'asked_number'>

async function insert(db: Database, asked: readonly NewCredentialRow[]): Promise<(Inserted | undefined)[]> {
  const rows = await insertAll(db, { asked: textOf(asked) })
  return byNumber(rows, asked.length).map(([row]) => row)
}

/**
 * Inserts a credential with its environments, values, links and audit events in one statement, together with others of its
 * owner that come at the time; in a transaction, alone. Gives undefined, with nothing inserted, when the type is not at that revision
 * (any more), or the owner may not link to one of the projects.
 */
export async function insertCredential(db: Database, row: NewCredentialRow): Promise<Inserted | undefined> {
  const [inserted] = await insert(db, [row])
  return inserted
}
