import type { InputError, Problem } from './generated/types.gen.ts'

/** Deeper than any response of the service. */
const MAX_DEPTH = 20

/** Removes the secret, should a response echo it, and control characters, which could forge log lines. */
export function redact(value: unknown, secret: string | undefined, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value, secret)
  if (typeof value !== 'object' || value === null) return value
  if (depth >= MAX_DEPTH) return undefined
  if (Array.isArray(value)) return value.map((item) => redact(item, secret, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [redactText(name, secret), redact(item, secret, depth + 1)])
  )
}

export function redactText(text: string, secret: string | undefined): string {
  const plain = text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, ' ')
  return secret ? plain.replaceAll(secret, '[secret]') : plain
}

/** Keeps only properties of the right type. Returns undefined if a required one is missing. */
export function parseProblem(headers: Headers, body: unknown): Problem | undefined {
  if (!/^application\/problem\+json\b/.test(headers.get('content-type') ?? '')) return undefined
  const { type, status, title, code, detail, requestId, errors, usageCount, consumers, projects } =
    Object(body)
  if (![title, code, detail, requestId].every(isString) || typeof status !== 'number') return undefined
  return {
    // The default of RFC 9457, section 4.2.1.
    type: isString(type) ? type : 'about:blank',
    status,
    title,
    code,
    detail,
    requestId,
    ...(isListOf(isInputError, errors) && { errors }),
    ...(typeof usageCount === 'number' && { usageCount }),
    ...(isListOf(isString, consumers) && { consumers }),
    ...(isListOf(isString, projects) && { projects })
  }
}

function isString(value: unknown): value is string {
  return typeof value === 'string'
}

function isInputError(value: unknown): value is InputError {
  const { path, code, message } = Object(value)
  return [path, code, message].every(isString)
}

function isListOf<T>(isItem: (value: unknown) => value is T, value: unknown): value is T[] {
  return Array.isArray(value) && value.every(isItem)
}
