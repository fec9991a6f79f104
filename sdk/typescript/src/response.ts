import { type ExactNumbers, keepNumbers } from './exact-numbers.ts'
import { OPERATIONS } from './generated/contract.gen.ts'

/** The service's largest response, with values, is about 8 MiB. */
export const MAX_RESPONSE_BYTES = 32 * 1024 * 1024

/** Reads the body. Returns undefined, and stops reading, if it is larger than any response of the service. */
export async function readText({ body }: Response): Promise<string | undefined> {
  if (!body) return ''
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    bytes += value.byteLength
    if (bytes > MAX_RESPONSE_BYTES) {
      // Not awaited: cancelling may never finish.
      reader.cancel().catch(() => {})
      return undefined
    }
    text += decoder.decode(value, { stream: true })
  }
}

/** Returns undefined if the text is not JSON. The parser's error is dropped because it quotes the text. */
export function parseJson(text: string, exactNumbers?: ExactNumbers): unknown {
  try {
    return JSON.parse(text, exactNumbers && keepNumbers(exactNumbers))
  } catch {
    return undefined
  }
}

/** Checks the parts of a successful response that this package reads, against the operation's contract. */
export function isValidResponse(name: string, body: unknown): boolean {
  const contract = OPERATIONS[name]!
  if (contract.responseType === 'nothing') return body === undefined
  if (contract.responseType === 'array') return Array.isArray(body)
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return false
  return contract.required.every((property) => CHECKS[property]?.(Reflect.get(body, property)) ?? true)
}

const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)
const isString = (value: unknown) => typeof value === 'string'
const isCount = (value: unknown) => Number.isInteger(value) && (value as number) >= 0

// The properties of pages and of resolve results. All others are passed to the caller unchecked.
const CHECKS: Record<string, ((value: unknown) => boolean) | undefined> = {
  data: (rows) => Array.isArray(rows) && rows.every((row) => isObject(row) && isString(row.id)),
  total: isCount,
  page: isCount,
  pageSize: (value) => isCount(value) && value !== 0,
  nextCursor: (value) => value === null || isString(value),
  results: (all) => Array.isArray(all) && all.length > 0 && all.every(isResult)
}

function isResult(result: unknown): boolean {
  const { status, id, credentialName, typeName, environment, revision, expiresAt, values, error } =
    Object(result)
  if (status === 'failed') return isString(error?.code) && isString(error.detail)
  return (
    status === 'resolved' &&
    [id, credentialName, typeName, environment].every(isString) &&
    isCount(revision) &&
    (expiresAt === null || !Number.isNaN(Date.parse(expiresAt))) &&
    isObject(values)
  )
}
