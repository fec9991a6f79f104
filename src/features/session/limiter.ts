import { createHash } from 'node:crypto'
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../db/database.ts'
import { TooManyAttempts } from '../../http/problems.ts'
import { uuidv7 } from '../../ids.ts'

const WINDOW_SECONDS = 15 * 60
/** One address on one account; all addresses on one account; one address on all accounts. */
const LIMITS = { pair: 10, account: 50, address: 100 }

/** One try at a password. */
export interface Attempt {
  /** The password was right: the tries of this address on this account are forgotten. */
  succeeded(): Promise<void>
}

/**
 * Counts a try before the password is looked at, so that tries sent all at once count as well; in the database, so
 * that all replicas count together. Throws TooManyAttempts, with the seconds to wait, past a limit. An attacker who
 * guesses from one address locks out that address, not the account's owner at another.
 */
export async function countAttempt(db: Database, email: string, address: string): Promise<Attempt> {
  const account = createHash('sha256').update(email.toLowerCase()).digest()
  const id = uuidv7()
  await db.insertInto('login_failures').values({ id, account, address }).execute()
  const window = sql<Date>`(now() - make_interval(secs => ${WINDOW_SECONDS}))`
  const ofAccount = sql<boolean>`account = ${account}`
  const ofAddress = sql<boolean>`address = ${address}`
  const count = (these: RawBuilder<boolean>) => sql<number>`count(*) filter (where ${these})`
  // Until the oldest of them leaves the window.
  const wait = (these: RawBuilder<boolean>) =>
    sql<number>`ceil(extract(epoch from min(at) filter (where ${these}) - ${window}))::int`
  const ofPair = sql<boolean>`${ofAccount} and ${ofAddress}`
  const found = await db
    .selectFrom('login_failures')
    .where('at', '>', window)
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
  const waits = [
    found.pair > LIMITS.pair ? found.pairWait : 0,
    found.account > LIMITS.account ? found.accountWait : 0,
    found.address > LIMITS.address ? found.addressWait : 0
  ]
  const retryAfter = Math.max(...waits)
  if (retryAfter > 0) {
    // A refused try was no guess, so it does not lengthen the wait.
    await db.deleteFrom('login_failures').where('id', '=', id).execute()
    throw new TooManyAttempts({ retryAfter })
  }
  return {
    async succeeded() {
      await db
        .deleteFrom('login_failures')
        .where('account', '=', account)
        .where('address', '=', address)
        .execute()
    }
  }
}
