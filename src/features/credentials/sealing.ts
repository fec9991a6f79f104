import type { Keyring } from '../../crypto/keyring.ts'
import { ValidationFailed } from '../../http/problems.ts'
import { MAX_VALUE_BYTES } from './limits.ts'

/** A stored value that a change keeps. It is opened only when it is sealed again. */
export class UnchangedValue {
  readonly open: () => unknown

  constructor(open: () => unknown) {
    this.open = open
  }
}

/** Sealed values as they are stored: three lists with one entry for each value. */
export interface SealedValues {
  environments: string[]
  fieldIds: string[]
  values: Buffer[]
  dataKeyNo: number
}

/** Values by field id; those that a change keeps are `UnchangedValue`s. */
export type Values = Map<string, unknown>

export const plainValue = (value: unknown) => (value instanceof UnchangedValue ? value.open() : value)

/**
 * Seals the JSON of a credential's values, by environment, at one sealed revision. Throws ValidationFailed if
 * they are too large together.
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
    const box = keyring.values({ credentialId, environment, sealedRevision })
    // The same for all: nothing is awaited here, so the keyring does not change meanwhile.
    sealed.dataKeyNo = box.dataKeyNo
    for (const [fieldId, value] of values) {
      sealed.environments.push(environment)
      sealed.fieldIds.push(fieldId)
      const json = Buffer.from(JSON.stringify(plainValue(value)))
      bytes += json.length
      sealed.values.push(box.seal([fieldId], json))
    }
  }
  if (bytes > MAX_VALUE_BYTES) {
    const message = 'The values of a credential, of all environments together, have 1 MiB at the most.'
    throw new ValidationFailed({ errors: [{ path: '/body/keys', code: 'too-large', message }] })
  }
  return sealed
}

/**
 * Returns a function that opens the values of one credential in one environment. It throws DecryptionFailed.
 */
export function opener(
  keyring: Keyring,
  context: { credentialId: string; environment: string; sealedRevision: number }
): (fieldId: string, sealed: Buffer) => unknown {
  const box = keyring.values(context)
  return (fieldId, sealed) => JSON.parse(box.open([fieldId], sealed).toString('utf8'))
}
