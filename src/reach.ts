import { ConfigError } from './config.ts'
import { connectionFault, ping } from './db/connection-fault.ts'
import type { Database } from './db/database.ts'

/** Throws a ConfigError for `variable`, which contains the URL of `db`, if no connection can be opened. */
export async function reach(db: Database, variable: string): Promise<void> {
  await ping(db).catch((error: unknown) => {
    throw new ConfigError(variable, `cannot be used: ${connectionFault(error)}`)
  })
}
