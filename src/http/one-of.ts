import { type InputError, ValidationFailed } from './problems.ts'

// Pairs of mutually exclusive properties. The document declares both as optional, because a `oneOf` would
// become two types in SDKs.

type Body<Name extends string> = { readonly [K in Name]?: unknown }

const refuse = (error: InputError): never => {
  throw new ValidationFailed({ errors: [error] })
}

/** Returns which of two properties the body has, or undefined. Throws ValidationFailed for both. */
export function oneOf<Name extends string>(
  body: Body<Name>,
  names: readonly [Name, Name],
  path = '/body'
): Name | undefined {
  const sent = names.filter((name) => body[name] !== undefined)
  if (sent.length > 1) refuse({ path, code: 'one-of', message: `Send ${names[0]} or ${names[1]}, not both.` })
  return sent[0]
}

/** Returns which of two properties the body has. Throws ValidationFailed for both and for neither. */
export function requireOneOf<Name extends string>(
  body: Body<Name>,
  names: readonly [Name, Name],
  path = '/body'
): Name {
  const message = `Either this or ${names[1]} is required.`
  return oneOf(body, names, path) ?? refuse({ path: `${path}/${names[0]}`, code: 'required', message })
}
