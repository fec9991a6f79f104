import type { Database, Transaction } from '../../db/database.ts'
import { emailHash } from '../../emails.ts'
import { networkOf } from '../../http/address.ts'
import { TooManyAttempts } from '../../http/problems.ts'
import { uuidv7 } from '../../ids.ts'
import { countAttempts, deleteAttempt, deleteAttempts, insertAttempt } from './attempt-repository.ts'

const WINDOW_SECONDS = 15 * 60
/** Per address and account, per account, and per address. */
const LIMITS = { pair: 10, account: 50, address: 100 }

/** An attempt to sign in with a password. */
export interface Attempt {
  /**
   * Deletes the attempts of this address on this account. Call it if the password was correct, in the
   * transaction that uses it, so that a failure does not leave half of it done.
   */
  succeeded(trx: Transaction): Promise<void>
}

/**
 * Counts an attempt before the password is checked, so that concurrent attempts count too. Replicas share the
 * count. Throws TooManyAttempts, with the seconds to wait, above a limit. An attacker at one address locks
 * out that address, not the owner of the account at another. An IPv6 address counts as its /64 network.
 */
export async function countAttempt(db: Database, email: string, fullAddress: string): Promise<Attempt> {
  const address = networkOf(fullAddress)
  const account = emailHash(email)
  const id = uuidv7()
  await insertAttempt(db, { id, account, address })
  const counts = await countAttempts(db, account, address, WINDOW_SECONDS)
  const retryAfter = Math.max(
    counts.pair > LIMITS.pair ? counts.pairWait : 0,
    counts.account > LIMITS.account ? counts.accountWait : 0,
    counts.address > LIMITS.address ? counts.addressWait : 0
  )
  if (retryAfter > 0) {
    // The password was not checked, so the attempt does not lengthen the wait.
    await deleteAttempt(db, id)
    throw new TooManyAttempts({ retryAfter })
  }
  return { succeeded: (trx) => deleteAttempts(trx, account, address) }
}
