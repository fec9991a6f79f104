import { type Config, ConfigError } from './config.ts'
import { passwordFits } from './crypto/passwords.ts'
import type { Database } from './db/database.ts'
import { adminPasswordIn, readAdminPassword, removeAdminPassword } from './embedded/data-directory.ts'
import { ensureAdministrator, findFirstAccount, hasUsers } from './features/users/service.ts'

export interface FirstAdministrator {
  email: string
  /** The password that opens the account, as far as the service knows it. */
  password: { kept: string } | 'as configured' | 'unknown'
  /** True if this start has created the account. */
  created: boolean
}

/**
 * Creates the first administrator if there is no user yet. On an embedded database it also returns one who
 * was there before, unless the account is disabled or no administrator's any more.
 */
export async function firstAdministrator(
  config: Config,
  db: Database
): Promise<FirstAdministrator | undefined> {
  const { databaseUrl, dataDirectory, adminPassword } = config
  const isEmbedded = databaseUrl === undefined
  if (!(await hasUsers(db))) {
    const email = config.adminEmail ?? (isEmbedded ? 'admin@latchkey.local' : undefined)
    const kept = isEmbedded && !adminPassword ? await adminPasswordIn(dataDirectory) : undefined
    const password = adminPassword ?? kept
    if (!email || !password) {
      throw new ConfigError(
        email ? 'LATCHKEY_ADMIN_PASSWORD' : 'LATCHKEY_ADMIN_EMAIL',
        'is needed for the first start on this database: it has no user yet'
      )
    }
    // Another replica may have been quicker.
    if (await ensureAdministrator(db, { email, password }))
      return { email, password: kept ? { kept } : 'as configured', created: true }
  }
  if (!isEmbedded) return undefined
  const kept = await keptPassword(db, dataDirectory)
  const account = await findFirstAccount(db)
  if (account?.role !== 'admin' || account.disabled_at) return undefined
  const { email, password_hash } = account
  if (kept !== undefined) return { email, password: { kept }, created: false }
  const fits = adminPassword !== undefined && (await passwordFits(password_hash, adminPassword))
  return { email, password: fits ? 'as configured' : 'unknown', created: false }
}

/**
 * Returns the password that the first start has made and kept in the data directory. Removes it, and returns
 * undefined, if it is not that of the first administrator any more.
 */
async function keptPassword(db: Database, dataDirectory: string): Promise<string | undefined> {
  const kept = readAdminPassword(dataDirectory)
  if (kept === undefined) return undefined
  const account = await findFirstAccount(db)
  if (await passwordFits(account?.password_hash, kept)) return kept
  await removeAdminPassword(dataDirectory)
  return undefined
}

/** Removes the kept password if it has changed. What fails is done by the next start. */
export async function forgetChangedPassword(db: Database, dataDirectory: string): Promise<void> {
  await keptPassword(db, dataDirectory).catch(() => {})
}
