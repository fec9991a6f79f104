import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../db/database.ts'

export async function insertAttempt(
  db: Database,
  attempt: { id: string; account: Buffer; address: string }
): Promise<void> {
  await db.insertInto('login_failures').values(attempt).execute()
}

/**
 * Counts the attempts of the window: of the address on the account, of all addresses on the account, and of
 * the address on all accounts. Each `…Wait` is the number of seconds until the oldest of them leaves the
 * window.
 */
export function countAttempts(db: Database, account: Buffer, address: string, windowSeconds: number) {
  const windowStart = sql<Date>`(now() - make_interval(secs => ${windowSeconds}))`
  const ofAccount = sql<boolean>`account = ${account}`
  const ofAddress = sql<boolean>`address = ${address}`
  const ofPair = sql<boolean>`${ofAccount} and ${ofAddress}`
  const count = (filter: RawBuilder<boolean>) => sql<number>`count(*) filter (where ${filter})`
  const wait = (filter: RawBuilder<boolean>) =>
    sql<number>`ceil(extract(epoch from min(at) filter (where ${filter}) - ${windowStart}))::int`
  return db
    .selectFrom('login_failures')
    .where('at', '>', windowStart)
    .where((eb) => eb.or([eb('account', '=', account), eb('address', '=', address)]))
    .select([
      count(ofPair).as('pair'),
      count(ofAccount).as('account'),
      count(ofAddress).as('address'),
      wait(ofPair).as('pairWait'),
      wait(ofAccount).as('accountWait'),
      wait(ofAddress).as('addressWait')
    ])
    .executeTakeFirstOrThrow()
}

export async function deleteAttempt(db: Database, id: string): Promise<void> {
  await db.deleteFrom('login_failures').where('id', '=', id).execute()
}

/** Deletes all attempts of the address on the account. */
export async function deleteAttempts(db: Database, account: Buffer, address: string): Promise<void> {
  await db
    .deleteFrom('login_failures')
    .where('account', '=', account)
    .where('address', '=', address)
    .execute()
}
