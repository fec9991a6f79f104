import { hash, verify } from '@node-rs/argon2'

// OWASP's and ASVS's listed setting: Argon2id (2 in the library's enum), 19 MiB, two passes, one lane.
const COST = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const

/** The Argon2id hash of a password, in PHC string form. */
export function hashPassword(password: string): Promise<string> {
  return hash(password, COST)
}

// The hash of nobody's password, made once, so that an unknown account costs what a known one does.
let nobody: Promise<string> | undefined

/** Whether the password is that of the hash. Without a hash (no such account): false, after the same work. */
export async function passwordFits(passwordHash: string | undefined, password: string): Promise<boolean> {
  nobody ??= hashPassword(crypto.randomUUID())
  const fits = await verify(passwordHash ?? (await nobody), password)
  return passwordHash !== undefined && fits
}
