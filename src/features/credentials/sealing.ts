import type { Keyring } from '../../crypto/keyring.ts'
import { ValidationFailed } from '../../http/problems.ts'
import { MAX_VALUE_BYTES } from './limits.ts'

/** A value that stays as it was; opened when it is sealed anew. */
export class Kept {
  readonly open: () => unknown

  constructor(open: () => unknown) {
    this.open = open
  }
}

/** Values as they are stored, one entry for each in the three lists. */
export interface SealedKeys {
  environments: string[]
  fieldIds: string[]
  values: Buffer[]
  dataKeyNo: number
}

/** Values by field id, new ones and kept ones. */
export type Values = Map<string, unknown>

/**
 * Seals a credential's values, by environment, at one sealed revision. The plaintext is the value's JSON. Throws
 * ValidationFailed when they are too large together.
 */
export function sealAll(
  keyring: Keyring,
  credentialId: string,
  sealedRevision: number,
  byEnvironment: ReadonlyMap<string, Values>
): SealedKeys {
  const keys: SealedKeys = { environments: [], fieldIds: [], values: [], dataKeyNo: keyring.current }
  let bytes = 0
  for (const [environment, values] of byEnvironment) {
    const box = keyring.values({ credentialId, environment, sealedRevision })
    // The same for all: nothing is awaited here, so the keyring does not change meanwhile.
    keys.dataKeyNo = box.dataKeyNo
    for (const [fieldId, value] of values) {
      keys.environments.push(environment)
      keys.fieldIds.push(fieldId)
      const plain = value instanceof Kept ? value.open() : value
      const json = Buffer.from(JSON.stringify(plain))
      bytes += json.length
      keys.values.push(box.seal([fieldId], json))
    }
  }
  if (bytes > MAX_VALUE_BYTES) {
    const message = 'The values of a credential, of all environments together, have 1 MiB at the most.'
    throw new ValidationFailed({ errors: [{ path: '/body/keys', code: 'too-large', message }] })
  }
  return keys
}

/** A function that opens the values of one credential in one environment; throws DecryptionFailed. */
export function opener(
  keyring: Keyring,
  context: { credentialId: string; environment: string; sealedRevision: number }
): (fieldId: string, sealed: Buffer) => unknown {
  const box = keyring.values(context)
  return (fieldId, sealed) => JSON.parse(box.open([fieldId], sealed).toString('utf8'))
}
