import { createHash } from 'node:crypto'
import { domainToASCII } from 'node:url'
import type { Cleaned } from './names.ts'

/** The maximum length of an e-mail address. */
export const MAX_EMAIL = 320

const ATOM = "[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
const LABEL = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?'
const EMAIL = new RegExp(`^${ATOM}(?:\\.${ATOM})*@(?:${LABEL}\\.)+${LABEL}$`, 'i')
const NOT_ASCII = /[^\0-\x7f]/v
/** A domain with other characters than ASCII, and in ASCII only those of a domain. */
const INTERNATIONAL = /^(?=.*\P{ASCII})[\-.a-zA-Z0-9\P{ASCII}]+$/v

/**
 * Returns the e-mail address of a user as it is stored: in ASCII, with an internationalized domain in its
 * ASCII form (`xn--…`). Each address has one stored form, except for the case of its letters.
 */
export function cleanEmail(text: string): Cleaned {
  const refusal = (message: string): Cleaned => ({ code: 'wrong-format', message })
  const at = text.lastIndexOf('@')
  const [local, domain] = [text.slice(0, at), text.slice(at + 1)]
  if (text.length > MAX_EMAIL)
    return { code: 'too-long', message: `This must be at most ${MAX_EMAIL} characters long.` }
  if (at > 0 && NOT_ASCII.test(local))
    return refusal('The part of an e-mail address before the @ must be in ASCII.')
  const email = INTERNATIONAL.test(domain) ? `${local}@${domainToASCII(domain)}` : text
  if (email.length <= MAX_EMAIL && EMAIL.test(email)) return { text: email }
  if (at > 0 && !domain.includes('.') && EMAIL.test(`${email}.org`))
    return refusal('The domain of an e-mail address needs a dot, as in name@example.org.')
  return refusal('This must be an e-mail address, such as name@example.org.')
}

/**
 * The hash by which users are found. A text that is sent as an e-mail address may be something else, such as
 * a password, so it is not sent to Postgres, whose statements may be logged. Postgres computes the same hash
 * with `email_hash(email)`.
 */
export function emailHash(email: string): Buffer {
  const folded = email.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
  return createHash('sha256').update(folded).digest()
}
