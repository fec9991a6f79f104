import type { InputError, Problem } from './generated/types.gen.ts'

/** Deeper than any answer of the service. */
const DEEPEST = 20

/** The JSON without the secret, should it be echoed, and without control characters, which forge lines of logs. */
export function scrubbed(value: unknown, secret: string | undefined, depth = 0): unknown {
  if (typeof value === 'string') return scrubbedText(value, secret)
  if (typeof value !== 'object' || value === null) return value
  if (depth >= DEEPEST) return undefined
  if (Array.isArray(value)) return value.map((one) => scrubbed(one, secret, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [scrubbedText(name, secret), scrubbed(one, secret, depth + 1)])
  )
}

/** One text of that. */
export function scrubbedText(text: string, secret: string | undefined): string {
  const plain = text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, ' ')
  return secret ? plain.replaceAll(secret, '[secret]') : plain
}

/** The members of a problem document that are of the document's types; undefined when one that has to be there is not. */
export function problemIn(headers: Headers, body: unknown): Problem | undefined {
  if (!/^application\/problem\+json\b/.test(headers.get('content-type') ?? '')) return undefined
  const { status, title, code, detail, requestId, errors, usageCount, consumers, projects } = Object(body)
  if (![title, code, detail, requestId].every(isText) || typeof status !== 'number') return undefined
  return {
    status,
    title,
    code,
    detail,
    requestId,
    ...(isListOf(isInputError, errors) && { errors }),
    ...(typeof usageCount === 'number' && { usageCount }),
    ...(isListOf(isText, consumers) && { consumers }),
    ...(isListOf(isText, projects) && { projects })
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isInputError(value: unknown): value is InputError {
  const { path, code, message } = Object(value)
  return [path, code, message].every(isText)
}

function isListOf<T>(isOne: (value: unknown) => value is T, value: unknown): value is T[] {
  return Array.isArray(value) && value.every(isOne)
}
