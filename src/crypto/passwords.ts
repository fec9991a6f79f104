import { hash, verify } from '@node-rs/argon2'

// A setting that OWASP and ASVS list: Argon2id (2 in the library's enum), 19 MiB, two passes, one lane.
const COST = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const

/** The Argon2id hash of a password, in PHC string form. */
export function hashPassword(password: string): Promise<string> {
  return hash(password, COST)
}

let dummyHash: Promise<string> | undefined

/**
 * Compares a password with a hash. Without a hash (no such account) the answer is false, after the same work,
 * so that the time does not tell which accounts exist.
 */
export async function passwordFits(passwordHash: string | undefined, password: string): Promise<boolean> {
  dummyHash ??= hashPassword(crypto.randomUUID())
  const fits = await verify(passwordHash ?? (await dummyHash), password)
  return passwordHash !== undefined && fits
}
