import { hash, verify } from '@node-rs/argon2'

// A setting that OWASP and ASVS list: Argon2id (2 in the library's enum), 19 MiB, two passes, one lane.
const COST = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const

export const MIN_PASSWORD = 12
/** The most characters of a password in NFC, which makes at most four UTF-16 units one character. */
export const MAX_PASSWORD = 256
/** The most UTF-16 units of a password as it is typed. */
export const MAX_TYPED = 4 * MAX_PASSWORD

/**
 * Prepares a password as RFC 8265 (OpaqueString) does, so that it fits from every keyboard and system: in
 * NFC, every kind of space as U+0020.
 */
function prepare(password: string): string {
  return password.replace(/\p{Zs}/gu, ' ').normalize('NFC')
}

/** Refuses what is longer than a password that `prepare` makes shorter can be. */
export function cleanPassword(text: string): { text: string } | { code: string; message: string } {
  return text.length > MAX_TYPED
    ? { code: 'too-long', message: `This must be at most ${MAX_PASSWORD} characters long.` }
    : { text: prepare(text) }
}

/** Returns true if a cleaned password has a length and characters that the API accepts. */
export function isAcceptable(password: string): boolean {
  const { length } = [...password]
  return length >= MIN_PASSWORD && length <= MAX_PASSWORD && !password.includes('\0')
}

/** The Argon2id hash of a prepared password, in PHC string form. */
export function hashPassword(password: string): Promise<string> {
  return hash(prepare(password), COST)
}

let dummyHash: Promise<string> | undefined

/**
 * Compares a password with a hash. Without a hash (no such account) the result is false, after the same
 * work, so that the time does not tell which accounts exist. `outdated` is true if the hash is of the
 * password as it was typed: earlier versions did not prepare passwords.
 */
export async function checkPassword(
  passwordHash: string | undefined,
  password: string
): Promise<{ fits: boolean; outdated: boolean }> {
  dummyHash ??= hashPassword(crypto.randomUUID())
  const known = passwordHash ?? (await dummyHash)
  const prepared = prepare(password)
  const fits = await verify(known, prepared)
  const outdated = !fits && prepared !== password && (await verify(known, password))
  return { fits: passwordHash !== undefined && (fits || outdated), outdated }
}

/** Same as `checkPassword`, without regard to the age of the hash. */
export async function passwordFits(passwordHash: string | undefined, password: string): Promise<boolean> {
  return (await checkPassword(passwordHash, password)).fits
}
