import { ConfigError } from './config.ts'
import { connectionFault, ping } from './db/connection-fault.ts'
import type { Database } from './db/database.ts'

/** Throws a ConfigError that names `variable`, whose URL `db` has, if no connection can be had. */
export async function reach(db: Database, variable: string): Promise<void> {
  await ping(db).catch((error: unknown) => {
    throw new ConfigError(variable, `cannot be used: ${connectionFault(error)}`)
  })
}
