import { MAX_ERRORS } from './problem.ts'
import { type InputError, ValidationFailed } from './problems.ts'

type Results<Parts extends readonly (() => unknown)[]> = {
  [K in keyof Parts]: Parts[K] extends () => infer Result ? Result : never
}

/**
 * Runs all parts and returns their results, in their order. Throws one ValidationFailed with the errors of
 * all parts that throw one, and any other error at once.
 */
export function allOf<const Parts extends readonly (() => unknown)[]>(...parts: Parts): Results<Parts> {
  const errors: InputError[] = []
  const results = parts.map((part) => {
    try {
      return part()
    } catch (error) {
      if (!(error instanceof ValidationFailed)) throw error
      errors.push(...(error.members.errors ?? []))
      return undefined
    }
  })
  if (errors.length > 0) throw new ValidationFailed({ errors: errors.slice(0, MAX_ERRORS) })
  return results as Results<Parts>
}
