import { OPERATIONS } from './generated/contract.gen.ts'

/** The largest answer of the service, with values, is about 8 MiB. */
export const MOST_BYTES = 32 * 1024 * 1024

/** The text of an answer; undefined, and the rest is not read, when there is more than any answer of the service has. */
export async function textOf({ body }: Response): Promise<string | undefined> {
  if (!body) return ''
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    bytes += value.byteLength
    if (bytes > MOST_BYTES) {
      // It may never end: nobody waits for it.
      reader.cancel().catch(() => {})
      return undefined
    }
    text += decoder.decode(value, { stream: true })
  }
}

/** Undefined when the text is no JSON. The parser's error is not kept, for it quotes the text. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Whether this is of the form that the document gives a success of the operation, as far as this package reads it. */
export function isAnswer(name: string, answer: unknown): boolean {
  const contract = OPERATIONS[name]!
  if (contract.answer === 'nothing') return answer === undefined
  if (contract.answer === 'array') return Array.isArray(answer)
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) return false
  return contract.members.every((member) => READ[member]?.(Reflect.get(answer, member)) ?? true)
}

const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown) => typeof value === 'string'
const isCount = (value: unknown) => Number.isInteger(value) && (value as number) >= 0

// The members of pages, and of what `resolve` is answered, are read here; what is in others is for the caller.
const READ: Record<string, ((value: unknown) => boolean) | undefined> = {
  data: (rows) => Array.isArray(rows) && rows.every((row) => isObject(row) && isText(row.id)),
  total: isCount,
  page: isCount,
  pageSize: (value) => isCount(value) && value !== 0,
  nextCursor: (value) => value === null || isText(value),
  results: (all) => Array.isArray(all) && all.length > 0 && all.every(isResult)
}

function isResult(one: unknown): boolean {
  const { id, credentialName, typeName, environment, revision, expiresAt, values, error } = Object(one)
  if (error !== undefined) return isText(error?.code) && isText(error.detail)
  return (
    [id, credentialName, typeName, environment].every(isText) &&
    isCount(revision) &&
    (expiresAt === null || !Number.isNaN(Date.parse(expiresAt))) &&
    isObject(values)
  )
}
