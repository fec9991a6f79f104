import { sql } from 'kysely'
import type { Database, Transaction } from '../../../db/database.ts'
import { orderBy } from '../../../db/keyset.ts'
import { pagedList } from '../../../db/paged-list.ts'
import type { Params } from '../../../db/prepared.ts'
import type { Row } from '../../../db/tables.ts'
import { NotFound, TooManyUsages } from '../../../http/problems.ts'

export type UsageRow = Row<'credential_usages', 'consumer' | 'project_id' | 'created_at'>

type UsageSort = `${'' | '-'}${'createdAt' | 'consumer'}`

/**
 * Returns one page of the credential's usages, and the total. With a project, only those that were registered
 * for it.
 */
export const listUsages = pagedList(
  (db, p: Params<{ credentialId: string; projectId: string }>, given) =>
    db
      .selectFrom('credential_usages as u')
      .where('u.credential_id', '=', p.credentialId)
      .$if(given.has('projectId'), (query) => query.where('u.project_id', '=', p.projectId))
      .select(['u.consumer', 'u.project_id', 'u.created_at']),
  (sort: UsageSort) =>
    orderBy(
      sort,
      {
        createdAt: { value: sql`u.created_at`, type: 'timestamptz' },
        consumer: { value: sql`u.consumer`, type: 'text' }
      },
      // A usage has no id. A consumer has one usage for each project, and one without a project.
      { value: sql`(u.consumer || ' ' || coalesce(u.project_id::text, ''))`, type: 'text' }
    ),
  { pool: 'longReads' }
)

/** The maximum number of usages of a credential. */
const MAX_USAGES = 10_000

/**
 * Registers that a consumer depends on the credential; `projectId` is null if the owner registers it, and
 * otherwise a project that the credential is linked to. Returns the usage and the credential; `isNew` is true
 * if it was inserted. Throws NotFound if the credential was deleted or its link was removed in the meantime,
 * and TooManyUsages.
 */
export async function putUsage(
  trx: Transaction,
  { credentialId, consumer, projectId }: { credentialId: string; consumer: string; projectId: string | null }
) {
  const credential = await lockCredential(trx, credentialId)
  if (!credential || (projectId && !(await lockLink(trx, credentialId, projectId)))) throw new NotFound()
  const columns = ['consumer', 'project_id', 'created_at'] as const
  const existing = await trx
    .selectFrom('credential_usages')
    .where('credential_id', '=', credentialId)
    .where('consumer', '=', consumer)
    .where('project_id', 'is not distinct from', projectId)
    .select(columns)
    .executeTakeFirst()
  if (existing) return { credential, usage: existing, isNew: false }
  const { total } = await trx
    .selectFrom('credential_usages')
    .where('credential_id', '=', credentialId)
    .select((eb) => eb.fn.countAll<number>().as('total'))
    .executeTakeFirstOrThrow()
  if (total >= MAX_USAGES) throw new TooManyUsages()
  const usage = await trx
    .insertInto('credential_usages')
    .values({ credential_id: credentialId, consumer, project_id: projectId })
    .returning(columns)
    .executeTakeFirstOrThrow()
  return { credential, usage, isNew: true }
}

/**
 * Locks the credential, so that its usages are registered one at a time. Returns it with its present owner
 * and name, which may have changed since a guard read them.
 */
function lockCredential(trx: Transaction, id: string) {
  return trx
    .selectFrom('credentials')
    .where('id', '=', id)
    .select(['id', 'owner_id', 'name'])
    .forNoKeyUpdate()
    .executeTakeFirst()
}

/** Locks the link of the credential to the project. Returns false if there is none. */
async function lockLink(trx: Transaction, credentialId: string, projectId: string): Promise<boolean> {
  const link = await trx
    .selectFrom('credential_projects')
    .where('credential_id', '=', credentialId)
    .where('project_id', '=', projectId)
    .select('id')
    .forShare()
    .executeTakeFirst()
  return link !== undefined
}

/**
 * Deletes a usage, and returns its credential. With a project, only one that was registered for it. Throws
 * NotFound.
 */
export async function deleteUsage(
  trx: Transaction,
  credentialId: string,
  consumer: string,
  projectId: string | null
) {
  const credential = await lockCredential(trx, credentialId)
  const result = await trx
    .deleteFrom('credential_usages')
    .where('credential_id', '=', credentialId)
    .where('consumer', '=', consumer)
    .$if(projectId !== null, (query) => query.where('project_id', '=', projectId))
    .executeTakeFirst()
  if (!credential || result.numDeletedRows === 0n) throw new NotFound()
  return credential
}

/** Lists the consumers of a credential, by name, up to a hundred. */
export async function listConsumers(db: Database, credentialId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('credential_usages')
    .where('credential_id', '=', credentialId)
    .select('consumer')
    .distinct()
    .orderBy('consumer')
    .limit(100)
    .execute()
  return rows.map((row) => row.consumer)
}
