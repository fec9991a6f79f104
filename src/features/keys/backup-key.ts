import type { Database } from '../../db/database.ts'
import type { RootKey } from '../../root-keys/root-key.ts'
import { currentOf, unwrapAll } from './data-keys.ts'
import { listDataKeys } from './repository.ts'

/** A data key as the database has it. */
export interface WrappedDataKey {
  number: number
  wrapped: Buffer
  rootKey: string
}

export interface BackupKey extends WrappedDataKey {
  /** The data key itself. */
  bytes: Buffer
}

/** Returns the current data key. Throws if there is none, and WrongRootKey. */
export async function currentKey(db: Database, rootKeys: readonly RootKey[]): Promise<BackupKey> {
  const rows = await listDataKeys(db)
  if (rows.length === 0)
    throw new Error('there is nothing to back up: the service has never started on this database')
  const row = rows.find(({ number }) => number === currentOf(rows))!
  const bytes = (await unwrapAll(rootKeys, [row])).get(row.number)!
  return { number: row.number, wrapped: row.wrapped, rootKey: row.root_key_fingerprint, bytes }
}

/** Throws WrongRootKey. */
export async function unwrapKey(
  { number, wrapped, rootKey }: WrappedDataKey,
  rootKeys: readonly RootKey[]
): Promise<Buffer> {
  const keys = await unwrapAll(rootKeys, [{ number, wrapped, root_key_fingerprint: rootKey }])
  return keys.get(number)!
}
