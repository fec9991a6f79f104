/**
 * JSON that keeps every number as it was written. A number whose text JavaScript would write differently
 * (9007199254740993, 1.00, -0, 1e400) is kept as a `RawNumber`, which `JSON.stringify` writes unchanged.
 */

/** A JSON number kept as text, as returned by `JSON.rawJSON`. */
export interface RawNumber {
  readonly rawJSON: string
}

// Part of ECMAScript (JSON.parse source text access), but not declared by TypeScript 5.9.
declare global {
  interface JSON {
    parse(
      text: string,
      reviver: (key: string, value: unknown, context: { source?: string }) => unknown
    ): unknown
    rawJSON(text: string): RawNumber
    isRawJSON(value: unknown): value is RawNumber
  }
}

/** Returns true if JavaScript reads the JSON number and writes the same text again. */
export function isCanonicalNumber(text: string): boolean {
  return String(Number(text)) === text
}

/** Parses a JSON number. Keeps its text if JavaScript would write it differently. */
export function numberOf(text: string): number | RawNumber {
  return isCanonicalNumber(text) ? Number(text) : JSON.rawJSON(text)
}

/** Returns true if JavaScript reads the JSON number and writes a text with the same value. */
export function isExactNumber(text: string): boolean {
  const [one, other] = [decimalOf(text), decimalOf(String(Number(text)))]
  return (
    one !== undefined && other !== undefined && one.digits === other.digits && one.exponent === other.exponent
  )
}

/** Returns true if the JSON number is whole in any notation. */
export function isWholeNumber(text: string): boolean {
  const decimal = decimalOf(text)
  return decimal !== undefined && decimal.exponent >= 0
}

/** A number as signed digits, without zeros at their ends, times a power of ten. */
function decimalOf(text: string): { digits: string; exponent: number } | undefined {
  const [, sign = '', whole, fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text) ?? []
  if (whole === undefined) return undefined
  const digits = whole + fraction
  let start = 0
  while (start < digits.length && digits[start] === '0') start++
  if (start === digits.length) return { digits: '0', exponent: 0 }
  let end = digits.length
  while (digits[end - 1] === '0') end--
  return {
    digits: sign + digits.slice(start, end),
    exponent: Number(exponent) - fraction.length + digits.length - end
  }
}

export const isRawNumber = (value: unknown): value is RawNumber => JSON.isRawJSON(value)

export function isJsonNumber(value: unknown): value is number | RawNumber {
  return Number.isFinite(value) || isRawNumber(value)
}

/** Returns true for a JSON object, but not for a `RawNumber`. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawNumber(value)
}

/**
 * Parses JSON and keeps its numbers. If a number needs its text, this is thirty times slower than
 * `JSON.parse`, about 1 µs for each value, so callers must limit the number of values.
 */
export function parseLossless(text: string): unknown {
  const plain: unknown = JSON.parse(text)
  if (JSON.stringify(plain) === text) return plain
  return JSON.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined ? numberOf(source) : value
  )
}

/** Applies a JSON merge patch to the target and returns the result (RFC 7396). */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isJsonObject(patch)) return patch
  const members = new Map(isJsonObject(target) ? Object.entries(target) : [])
  for (const [name, change] of Object.entries(patch)) {
    if (change === null) members.delete(name)
    else members.set(name, mergePatch(members.get(name), change))
  }
  return Object.fromEntries(members)
}

/** Returns the index of the closing quote of the string that starts at `start`. */
export function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  for (;;) {
    if (end < 0) return text.length
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++
    if (slashes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
}

/** The texts of the response that is being serialized, in order; undefined outside `withJsonTexts`. */
let texts: string[] | undefined
// No other text in a response is a single NUL: input rejects that character, and Postgres cannot store it.
const MARKER = '\0'
const WRITTEN_MARKER = JSON.stringify(MARKER)

/** A JSON value as text, which a response includes without parsing it. */
export class JsonText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  static of(value: unknown): JsonText {
    return new JsonText(JSON.stringify(value))
  }

  static ofMembers(members: readonly (readonly [string, JsonText])[]): JsonText {
    return new JsonText(`{${members.map(([name, { text }]) => `${JSON.stringify(name)}:${text}`).join()}}`)
  }

  /** Returns the members of an object as `JSON.stringify` writes it, and undefined for any other value. */
  members(): [string, JsonText][] | undefined {
    const { text } = this
    if (!text.startsWith('{')) return undefined
    const members: [string, JsonText][] = []
    for (let at = 1; at < text.length - 1; ) {
      const endOfKey = endOfString(text, at) + 1
      const start = endOfKey + 1
      const end = endOfValue(text, start)
      members.push([JSON.parse(text.slice(at, endOfKey)), new JsonText(text.slice(start, end))])
      at = end + 1
    }
    return members
  }

  /** Hides the value, which may be a secret, from logs. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return 'JsonText'
  }

  toJSON(): unknown {
    if (!texts) return parseLossless(this.text)
    texts.push(this.text)
    return MARKER
  }
}

/** Returns the index of the comma or bracket that ends the value that starts at `start`. */
function endOfValue(text: string, start: number): number {
  let open = 0
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) i = endOfString(text, i)
    else if (code === 0x7b || code === 0x5b) open++
    else if (code === 0x7d || code === 0x5d) {
      if (open-- === 0) return i
    } else if (code === 0x2c && open === 0) return i
  }
  return text.length
}

/** Returns a serializer that includes every `JsonText` in the data unchanged. */
export function withJsonTexts<T>(serialize: (data: T) => string): (data: T) => string {
  return (data) => {
    texts = []
    try {
      const written = serialize(data)
      if (texts.length === 0) return written
      const parts = written.split(WRITTEN_MARKER)
      if (parts.length !== texts.length + 1) throw new Error('The response contains a NUL character.')
      return parts.map((part, index) => (index === 0 ? part : texts![index - 1] + part)).join('')
    } finally {
      texts = undefined
    }
  }
}
