import { sql } from 'kysely'
import { systemOrigin } from '../../src/audit/record.ts'
import type { Database } from '../../src/db/database.ts'
import { newDataKey } from '../../src/features/keys/data-keys.ts'
import { reencryptAll } from '../../src/features/keys/reencrypt.ts'
import { insertDataKey } from '../../src/features/keys/repository.ts'
import { rotateDataKey } from '../../src/features/keys/rotate.ts'
import { parseRootKeys } from '../../src/root-keys/list.ts'
import type { TestApp } from './app.ts'

export const operator = systemOrigin('command line')

/** Creates the first data key as the start of the service does, but without an audit event. */
export async function createFirstDataKey(db: Database, rootKey: string): Promise<void> {
  const key = await newDataKey(parseRootKeys(rootKey)[0]!, 1)
  await db.transaction().execute((trx) => insertDataKey(trx, key))
}

/** Rotates the data key as `latchkey keys rotate` does, without a refresh of running services. */
export function rotate({ db, rootKeys }: Pick<TestApp, 'db' | 'rootKeys'>): Promise<number> {
  return rotateDataKey(db, rootKeys[0]!, operator, 'asked')
}

/** Refreshes the service's keyring, and re-encrypts all values under the current data key. */
export async function reencrypt({ app, db }: Pick<TestApp, 'app' | 'db'>) {
  await app.services.keyring.refresh()
  return reencryptAll(db, app.services.keyring)
}

/** The number of values under each data key. */
export async function valuesByKey({ db }: Pick<TestApp, 'db'>): Promise<Record<number, number>> {
  const { rows } = await sql<{ number: number; count: number }>`
    select data_key_no as number, count(*) as count from credential_keys group by 1 order by 1`.execute(db)
  return Object.fromEntries(rows.map(({ number, count }) => [number, count]))
}

/** Moves the creation and retirement of one data key, or of all, into the past. */
export async function age({ db }: Pick<TestApp, 'db'>, days: number, number: number | null = null) {
  await sql`update data_keys set created_at = created_at - make_interval(days => ${days}),
      retired_at = retired_at - make_interval(days => ${days})
    where ${number}::int is null or number = ${number}`.execute(db)
}

/** The audit events of data keys, oldest first. */
export async function keyEvents({ db }: Pick<TestApp, 'db'>) {
  const rows = await db
    .selectFrom('audit_log')
    .where('target_type', '=', 'data-key')
    .select(['action', 'target_name', 'actor_type', 'actor_name', 'details'])
    .orderBy('id')
    .execute()
  return rows.map((row) => ({ ...row, target_name: Number(row.target_name) }))
}
