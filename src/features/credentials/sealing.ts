import type { Keyring } from '../../crypto/keyring.ts'
import { ValidationFailed } from '../../http/problems.ts'
import { JsonText } from '../../json.ts'

/** The maximum total size of a credential's values as JSON. A change of any value encrypts all of them. */
const MAX_VALUE_BYTES = 1024 * 1024

/** A stored value that a change keeps. It is decrypted only to be encrypted again. */
export class UnchangedValue {
  readonly open: () => JsonText

  constructor(open: () => JsonText) {
    this.open = open
  }
}

/** Encrypted values as they are stored: three lists with one entry per value. */
export interface SealedValues {
  environments: string[]
  fieldIds: string[]
  values: Buffer[]
  dataKeyNo: number
}

/** Values by field id. A value that a change keeps is an `UnchangedValue`. */
export type Values = Map<string, JsonText | UnchangedValue>

export const jsonOf = (value: JsonText | UnchangedValue) =>
  value instanceof UnchangedValue ? value.open() : value

/**
 * Encrypts all values of a credential, by environment, for one sealed revision. Throws ValidationFailed if
 * their total size is too large.
 */
export function sealAll(
  keyring: Keyring,
  credentialId: string,
  sealedRevision: number,
  byEnvironment: ReadonlyMap<string, Values>
): SealedValues {
  const sealed: SealedValues = { environments: [], fieldIds: [], values: [], dataKeyNo: keyring.current }
  let bytes = 0
  for (const [environment, values] of byEnvironment) {
    const sealer = keyring.values({ credentialId, environment, sealedRevision })
    // The same for all environments: nothing is awaited here, so the keyring cannot change in between.
    sealed.dataKeyNo = sealer.dataKeyNo
    for (const [fieldId, value] of values) {
      sealed.environments.push(environment)
      sealed.fieldIds.push(fieldId)
      const json = Buffer.from(jsonOf(value).text)
      bytes += json.length
      sealed.values.push(sealer.seal([fieldId], json))
    }
  }
  if (bytes > MAX_VALUE_BYTES) {
    const message = 'The values of a credential in all its environments must be at most 1 MiB as JSON.'
    throw new ValidationFailed({ errors: [{ path: '/body', code: 'too-large', message }] })
  }
  return sealed
}

/**
 * Returns a function that decrypts the values of one credential in one environment. It throws
 * DecryptionFailed.
 */
export function opener(
  keyring: Keyring,
  context: { credentialId: string; environment: string; sealedRevision: number }
): (fieldId: string, sealed: Buffer) => JsonText {
  const sealer = keyring.values(context)
  return (fieldId, sealed) => new JsonText(sealer.open([fieldId], sealed).toString('utf8'))
}
