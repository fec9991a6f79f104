// The key that signs the ends of exported parts of the audit log. It is stored as values are: encrypted under
// a data key, and encrypted again when that is retired.
import type { Keyring } from '../../crypto/keyring.ts'
import { newSigningKey, SigningKey } from '../../crypto/signing.ts'
import { type Database, inTransaction } from '../../db/database.ts'
import { isCurrent } from './repository.ts'
import {
  findSigningKey,
  insertSigningKey,
  replaceSigningKey,
  type SealedSigningKey
} from './signing-key-repository.ts'

function seal(keyring: Keyring, key: Buffer): SealedSigningKey {
  const sealer = keyring.signingKey()
  return { sealed: sealer.seal([], key), dataKeyNo: sealer.dataKeyNo }
}

/** Opens the signing key of the database; makes it if there is none, which the owner of the tables can. */
export async function openSigningKey(db: Database, keyring: Keyring): Promise<SigningKey> {
  const found = await findSigningKey(db)
  if (found) return new SigningKey(keyring.signingKey().open([], found.sealed))
  await insertSigningKey(db, seal(keyring, newSigningKey()))
  return openSigningKey(db, keyring)
}

/** Encrypts the signing key under the current data key, if it is under another. Returns true if it was. */
export async function reencryptSigningKey(db: Database, keyring: Keyring): Promise<boolean> {
  const found = await findSigningKey(db)
  if (!found || found.dataKeyNo === keyring.current) return false
  return inTransaction(db, async (trx) => {
    const next = seal(keyring, keyring.signingKey().open([], found.sealed))
    // Another replica may have a newer data key.
    if (!(await isCurrent(trx, next.dataKeyNo))) return false
    await replaceSigningKey(trx, found, next)
    return true
  })
}
