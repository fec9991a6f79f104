import { type Config, ConfigError } from './config.ts'
import { passwordFits } from './crypto/passwords.ts'
import type { Database } from './db/database.ts'
import { adminPasswordIn, readAdminPassword, removeAdminPassword } from './embedded/data-directory.ts'
import { ensureAdministrator, findFirstAccount, hasUsers } from './features/users/service.ts'

export interface FirstAdministrator {
  email: string
  /** The password of the account, if the service knows it. */
  password: { kept: string } | 'as configured' | 'unknown'
  /** True if this start has created the account. */
  created: boolean
}

/**
 * Creates the first administrator if there is no user. On an embedded database, also returns one that an
 * earlier start created, unless the account is disabled or is no longer an administrator's.
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
        'is required for the first start on this database, which has no users'
      )
    }
    // Another replica may have created it meanwhile.
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
 * Returns the password that the first start created and stored in the data directory. If it is no longer the
 * first administrator's, removes it and returns undefined.
 */
async function keptPassword(db: Database, dataDirectory: string): Promise<string | undefined> {
  const kept = readAdminPassword(dataDirectory)
  if (kept === undefined) return undefined
  const account = await findFirstAccount(db)
  if (await passwordFits(account?.password_hash, kept)) return kept
  await removeAdminPassword(dataDirectory)
  return undefined
}

/** Removes the stored password if it has changed. If that fails, the next start tries again. */
export async function forgetChangedPassword(db: Database, dataDirectory: string): Promise<void> {
  await keptPassword(db, dataDirectory).catch(() => {})
}
