import { type InputError, ValidationFailed } from './problems.ts'

// Properties of which a request takes one. The document has them as optional, with a description: a `oneOf`
// there would be two types in SDKs.

type Body<Name extends string> = { readonly [K in Name]?: unknown }

const refuse = (error: InputError): never => {
  throw new ValidationFailed({ errors: [error] })
}

/** Returns which of two properties is there; undefined for neither. Throws ValidationFailed for both. */
export function oneOf<Name extends string>(
  body: Body<Name>,
  names: readonly [Name, Name],
  path = '/body'
): Name | undefined {
  const sent = names.filter((name) => body[name] !== undefined)
  if (sent.length > 1)
    refuse({ path, code: 'one-of', message: `This takes either ${names[0]} or ${names[1]}, not both.` })
  return sent[0]
}

/** As `oneOf`. Throws ValidationFailed for neither. */
export function requireOneOf<Name extends string>(
  body: Body<Name>,
  names: readonly [Name, Name],
  path = '/body'
): Name {
  const message = `This, or ${names[1]}, is required.`
  return oneOf(body, names, path) ?? refuse({ path: `${path}/${names[0]}`, code: 'required', message })
}
