/** The codes of `errors`, and what they mean. */
export const INPUT_ERRORS = {
  required: 'This is required.',
  'unknown-property': 'A property or parameter is unknown; the message lists the known ones.',
  'wrong-type': 'The value has the wrong JSON type.',
  'wrong-format': 'The text does not have the required format, such as a UUID or a time.',
  'wrong-form': 'The text does not match the required pattern, or contains a character that is not allowed.',
  'not-allowed': 'The value is not one of the allowed values.',
  'too-short': 'The text is too short.',
  'too-long': 'The text is too long.',
  'too-few': 'The list or object has too few entries.',
  'too-many': 'The list or object has too many entries.',
  'too-large': 'The value is too large.',
  'too-deep': 'The body is nested too deeply.',
  'too-many-values': 'The body has too many values.',
  'out-of-range': 'The number or time is out of range.',
  'number-not-exact': 'A double-precision number cannot represent this value exactly.',
  'number-out-of-range': 'The number is larger than a double-precision number can be.',
  repeated: 'The entry occurs more than once.',
  'one-of': 'Only one of the named properties can be sent.',
  'forbidden-key': 'An object has a key that is never accepted, such as `__proto__`.',
  'nul-character': 'The text contains a NUL character.',
  'lone-surrogate': 'The text contains half of a surrogate pair.',
  'unknown-field': 'The credential type has no such field.',
  'unknown-type': 'There is no such credential type.',
  'unknown-user': 'There is no such user.',
  'own-email': 'The e-mail address is your own.',
  'user-information': 'The URL contains a user name or a password.',
  'not-for-this-type': 'Fields of this type cannot have this property.',
  'not-for-secret': 'Secret fields cannot have this property.',
  'invalid-pattern':
    'The pattern is not valid RE2 syntax, or the patterns of the type are too large together.',
  'invalid-cursor': 'The cursor does not belong to this list with these filters and this order.',
  'type-in-use': 'Existing credentials of the type prevent this change.',
  'not-found': 'The project has no such credential.',
  'ambiguous-name': 'The name does not identify one resource.',
  'environment-not-configured': 'The credential has no values for the environment.',
  expired: 'The credential has expired.',
  'decryption-failed': 'A value of the credential cannot be decrypted.',
  invalid: 'The value is invalid.'
} as const

export type InputErrorCode = keyof typeof INPUT_ERRORS

export const isInputErrorCode = (code: string): code is InputErrorCode => Object.hasOwn(INPUT_ERRORS, code)
