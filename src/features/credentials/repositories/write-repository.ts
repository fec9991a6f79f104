import { type Expression, type Kysely, type RawBuilder, type SqlBool, sql } from 'kysely'
import { insertEvents } from '../../../audit/event-repository.ts'
import { type CallerTokenParams, isLiveLocked } from '../../../auth/caller-repository.ts'
import { rolesAtLeast } from '../../../auth/roles.ts'
import type { Database, Transaction } from '../../../db/database.ts'
import { type Params, prepared } from '../../../db/prepared.ts'
import type { Tables } from '../../../db/tables.ts'
import { foldName } from '../../../names.ts'
import type { SealedValues } from '../sealing.ts'

interface Writing extends SealedValues, CallerTokenParams {
  id: string
  ownerId: string
  typeId: string
  typeRevision: number
  name: string
  description: string | null
  expiresAt: Date | null
  environmentNames: readonly string[]
  /** The ids of new links, and of their projects, in the same order. */
  linkIds: readonly string[]
  linkedProjectIds: readonly string[]
  /** Audit events, as JSON for `insertEvents`. */
  events: string
}

export interface CredentialInsert extends Writing {
  externalId: string | null
  lightningSchema: string | null
}

export interface CredentialUpdate extends Writing {
  /** The revision before the change. */
  revision: number
  sealedRevision: number
  /** False if values, environments and sealed revision do not change. */
  changesValues: boolean
  unlinkedProjectIds: readonly string[]
  /** All projects that the credential is linked to after the change. */
  projectIds: readonly string[]
}

interface Folded {
  nameKey: string
}

const folded = <T extends Writing>(input: T): T & Folded => ({ ...input, nameKey: foldName(input.name) })

type Kind = CallerTokenParams['callerKind']

const CHOICES = [false, true]

function perKind<T>(make: (kind: Kind) => T): Record<Kind, T> {
  return { session: make('session'), 'access-token': make('access-token') }
}

/** The parts of a statement that inserts or updates one credential, as `written`. */
const partsOf = (db: Kysely<Tables>, p: Params<Writing>) => ({
  /** The type, if it is still at the revision that the values were validated against. Locks it. */
  type: () =>
    db
      .selectFrom('credential_types')
      .where('id', '=', p.typeId)
      .where('revision', '=', p.typeRevision)
      .select(['id', 'type_name'])
      .forKeyShare(),
  /**
   * The projects to link to in which the owner may link, locked until the end with the owner's membership,
   * which Postgres reads again if it had to wait for the locks.
   */
  linking: () =>
    db
      .selectFrom('projects as p')
      .innerJoin('project_members as m', 'm.project_id', 'p.id')
      .where(sql<boolean>`p.id = any(${p.linkedProjectIds}::uuid[])`)
      .where('m.user_id', '=', p.ownerId)
      .where(sql<boolean>`m.role in (${linkingRoles})`)
      .select(['p.id', 'p.name', 'p.name_key'])
      .orderBy('p.id')
      .forKeyShare('p')
      .forShare('m'),
  /** True if the owner may link credentials to all of the projects. */
  mayLink: sql<SqlBool>`cardinality(${p.linkedProjectIds}::uuid[]) = (select count(*) from linking)`,
  environments: () =>
    db
      .insertInto('credential_environments')
      .columns(['credential_id', 'name'])
      .expression(sql<never>`select id, unnest(${p.environmentNames}::text[]) from written`)
      .onConflict((conflict) => conflict.doNothing()),
  values: () =>
    db
      .insertInto('credential_keys')
      .columns(['credential_id', 'environment', 'field_id', 'value', 'data_key_no'])
      .expression(
        sql<never>`select written.id, k.environment, k.field_id, k.value, ${p.dataKeyNo}::int
          from written, unnest(${p.environments}::text[], ${p.fieldIds}::uuid[], ${p.values}::bytea[])
            k(environment, field_id, value)`
      )
      .onConflict((conflict) =>
        conflict.columns(['credential_id', 'environment', 'field_id']).doUpdateSet((eb) => ({
          value: eb.ref('excluded.value'),
          data_key_no: eb.ref('excluded.data_key_no')
        }))
      ),
  links: () =>
    db
      .insertInto('credential_projects')
      .columns(['id', 'credential_id', 'project_id', 'assigned_by'])
      .expression(
        sql<never>`select l.id, written.id, l.project_id, ${p.ownerId} from written,
          unnest(${p.linkIds}::uuid[], ${p.linkedProjectIds}::uuid[]) l(id, project_id)`
      ),
  events: () => insertEvents(db, p.events, sql`written`),
  /** Replaces a part that a change does not need. Postgres does not run it: nothing refers to it. */
  none: () => db.selectNoFrom(sql.lit(1).as('none'))
})

const linkingRoles = sql.join(rolesAtLeast('editor').map((role) => sql.lit(role)))

/** The projects `p` in the `from` clause, by name. */
const projectsOf = (from: RawBuilder<unknown>) =>
  sql<{ id: string; name: string }[]>`(
    select coalesce(json_agg(json_build_object('id', p.id, 'name', p.name) order by p.name_key, p.id), '[]')
    from ${from})`.as('projects')

const as = <T>(value: Expression<unknown>, type: string) => sql<T>`${value}::${sql.raw(type)}`

const insertStatement = (links: boolean, kind: Kind) =>
  prepared((db, p: Params<CredentialInsert & Folded>) => {
    const parts = partsOf(db, p)
    return db
      .with('type', parts.type)
      .with('linking', links ? parts.linking : parts.none)
      .with('written', (q) =>
        q
          .insertInto('credentials')
          .columns([
            'id',
            'owner_id',
            'type_id',
            'name',
            'name_key',
            'description',
            'external_id',
            'lightning_schema',
            'expires_at'
          ])
          .expression((eb) =>
            eb
              .selectFrom('type')
              .where(isLiveLocked(p, kind))
              .$if(links, (query) => query.where(parts.mayLink))
              .select([
                as<string>(p.id, 'uuid').as('id'),
                as<string>(p.ownerId, 'uuid').as('owner_id'),
                'type.id as type_id',
                as<string>(p.name, 'text').as('name'),
                as<string>(p.nameKey, 'text').as('name_key'),
                as<string>(p.description, 'text').as('description'),
                as<string>(p.externalId, 'text').as('external_id'),
                as<string>(p.lightningSchema, 'text').as('lightning_schema'),
                as<Date>(p.expiresAt, 'timestamptz').as('expires_at')
              ])
          )
          .returning(['id', 'revision', 'sealed_revision', 'created_at', 'updated_at'])
      )
      .with('environment', parts.environments)
      .with('value', parts.values)
      .with('link', links ? parts.links : parts.none)
      .with('recorded', parts.events)
      .selectFrom(['written', 'type'])
      .select(['type.type_name', 'written.revision', 'written.sealed_revision'])
      .select(['written.created_at', 'written.updated_at'])
      .select(projectsOf(links ? sql`linking p` : sql`projects p where false`))
  })

const inserts = perKind((kind) => CHOICES.map((links) => insertStatement(links, kind)))

/**
 * Inserts a credential with its environments, values, links and audit events, in one statement. Returns
 * undefined, having inserted nothing, if the type's revision has changed, the owner may not link to one of
 * the projects, or the caller's session or token has ended.
 */
export async function insertCredential(db: Database, input: CredentialInsert) {
  const links = input.linkIds.length > 0
  return (await inserts[input.callerKind][Number(links)]!(db, folded(input)))[0]
}

const updateStatement = (values: boolean, links: boolean, kind: Kind) =>
  prepared((db, p: Params<CredentialUpdate & Folded>) => {
    const parts = partsOf(db, p)
    const removedEnvironments = () =>
      db
        .deleteFrom('credential_environments as e')
        .where(sql<SqlBool>`e.credential_id = (select id from written)
          and e.name <> all(${p.environmentNames}::text[])`)
    const removedValues = () =>
      db.deleteFrom('credential_keys as k').where(sql<SqlBool>`k.credential_id = (select id from written)
          and not exists (
            select from unnest(${p.environments}::text[], ${p.fieldIds}::uuid[]) n(environment, field_id)
            where n.environment = k.environment and n.field_id = k.field_id)`)
    const removedLinks = () =>
      db.deleteFrom('credential_projects as l').where(sql<SqlBool>`l.credential_id = (select id from written)
          and l.project_id = any(${p.unlinkedProjectIds}::uuid[])`)
    return db
      .with('type', values ? parts.type : parts.none)
      .with('linking', links ? parts.linking : parts.none)
      .with('written', (q) =>
        q
          .updateTable('credentials')
          .set((eb) => ({
            name: p.name,
            name_key: p.nameKey,
            description: p.description,
            expires_at: p.expiresAt,
            sealed_revision: p.sealedRevision,
            revision: eb('revision', '+', 1),
            updated_at: sql<Date>`now()`
          }))
          .where('owner_id', '=', p.ownerId)
          .where('id', '=', p.id)
          .where('revision', '=', p.revision)
          .where(isLiveLocked(p, kind))
          .$if(values, (query) => query.where(sql<SqlBool>`exists (select from type)`))
          .$if(links, (query) => query.where(parts.mayLink))
          .returning(['id', 'revision', 'updated_at'])
      )
      .with('removed_environment', values ? removedEnvironments : parts.none)
      .with('environment', values ? parts.environments : parts.none)
      .with('removed_value', values ? removedValues : parts.none)
      .with('value', values ? parts.values : parts.none)
      .with('removed_link', links ? removedLinks : parts.none)
      .with('link', links ? parts.links : parts.none)
      .with('recorded', parts.events)
      .selectFrom('written')
      .select(['written.revision', 'written.updated_at'])
      .$if(links, (query) =>
        query.select(
          projectsOf(sql`projects p join project_members m on m.project_id = p.id and m.user_id = ${p.ownerId}
            where p.id = any(${p.projectIds}::uuid[])`)
        )
      )
  })

const updates = perKind((kind) =>
  CHOICES.map((values) => CHOICES.map((links) => updateStatement(values, links, kind)))
)

/**
 * Updates a credential with its environments, values, links and audit events, in one statement. Returns
 * undefined, having changed nothing, if the credential's owner or revision has changed, if values change and
 * the type's revision has changed, if the owner may not link to one of the projects, or if the caller's
 * session or token has ended. The result has `projects` if links change.
 */
export async function updateCredential(db: Database, input: CredentialUpdate) {
  const links = input.linkIds.length + input.unlinkedProjectIds.length > 0
  const statements = updates[input.callerKind][Number(input.changesValues)]!
  return (await statements[Number(links)]!(db, folded(input)))[0]
}

/** Locks the owner's credential until the transaction ends, and its type against changes. */
export function lockCredential(trx: Transaction, ownerId: string, id: string) {
  return trx
    .selectFrom('credentials as c')
    .innerJoin('credential_types as t', 't.id', 'c.type_id')
    .where('c.owner_id', '=', ownerId)
    .where('c.id', '=', id)
    .select(['c.id', 'c.revision'])
    .forUpdate('c')
    .forKeyShare('t')
    .executeTakeFirst()
}

/** Sets the credential's owner. The caller must have locked it. */
export async function setOwner(trx: Transaction, id: string, ownerId: string): Promise<void> {
  await trx
    .updateTable('credentials')
    .set((eb) => ({ owner_id: ownerId, revision: eb('revision', '+', 1), updated_at: sql<Date>`now()` }))
    .where('id', '=', id)
    .execute()
}

const remove = prepared((db, p: Params<{ id: string }>) =>
  db.deleteFrom('credentials').where('id', '=', p.id).returning('id')
)

/** Deletes the credential. The caller must have locked it. */
export async function deleteCredential(trx: Transaction, id: string): Promise<void> {
  await remove(trx, { id })
}
