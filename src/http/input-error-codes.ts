/** The codes of `errors`, and what they mean. */
export const INPUT_ERRORS = {
  required: 'This is required.',
  'unknown-property': 'A property or parameter here is unknown; the message lists the known ones.',
  'wrong-type': 'Another JSON type is expected.',
  'wrong-format': 'A format is expected, such as a UUID or a time.',
  'wrong-form': 'The text does not have the expected form.',
  'not-allowed': 'One of the listed values is expected.',
  'too-short': 'The text is too short.',
  'too-long': 'The text is too long.',
  'too-few': 'The list or object has too few entries.',
  'too-many': 'The list or object has too many entries.',
  'too-large': 'The value is too large.',
  'too-deep': 'The body is nested too deeply.',
  'too-many-values': 'The body has too many values.',
  'out-of-range': 'The number or time is out of range.',
  'number-not-exact': 'A double does not represent this number exactly.',
  'number-out-of-range': 'A double does not represent a number of this size.',
  repeated: 'The entry occurs twice.',
  'one-of': 'Exactly one of the named properties is expected.',
  'forbidden-key': 'An object has a key that is never accepted.',
  'nul-character': 'The text contains a NUL character.',
  'lone-surrogate': 'The text contains half of a surrogate pair.',
  'unknown-field': 'The credential type has no such field.',
  'unknown-type': 'There is no such credential type.',
  'unknown-user': 'There is no such user.',
  'own-email': 'The address is your own.',
  'user-information': 'The URL contains a user name or a password.',
  'not-for-this-type': 'Fields of this type do not have this.',
  'not-for-secret': 'Secret fields do not have this.',
  'invalid-pattern': 'The pattern is not in RE2 syntax, or the patterns are too large together.',
  'invalid-cursor': 'The cursor is not one of this list with these filters and this order.',
  'type-in-use': 'Existing credentials of the type prevent this change.',
  'not-found': 'There is no such credential in the project.',
  'ambiguous-name': 'Several things that you can use have this name.',
  'environment-not-configured': 'The credential has no values for the environment.',
  expired: 'The credential has expired.',
  'decryption-failed': 'A value of the credential cannot be decrypted.',
  invalid: 'The value is invalid.'
} as const

export type InputErrorCode = keyof typeof INPUT_ERRORS

export const isInputErrorCode = (code: string): code is InputErrorCode => Object.hasOwn(INPUT_ERRORS, code)
