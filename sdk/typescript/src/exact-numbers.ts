/** How to return numbers that a double cannot represent: all as text, or integers as BigInt. */
export type ExactNumbers = 'string' | 'bigint'

type Reviver = (key: string, value: unknown, context?: { source?: string }) => unknown

/** Returns false if `JSON.parse` does not provide the source text, as in Node 20. */
export function canKeepNumbers(): boolean {
  const parse = JSON.parse as (text: string, revive: Reviver) => unknown
  return parse('1.0', (_key, _value, context) => context?.source) === '1.0'
}

/** Creates a reviver that replaces the numbers whose value `JSON.parse` would change. */
export function keepNumbers(as: ExactNumbers): (key: string, value: unknown) => unknown {
  const revive: Reviver = (_key, value, context) => {
    const source = context?.source
    if (typeof value !== 'number' || source === undefined) return value
    if (decimalOf(source) === decimalOf(String(value))) return value
    return as === 'bigint' && /^-?\d+$/.test(source) ? BigInt(source) : source
  }
  return revive
}

/** Returns the same text for all notations of a number, such as 1.00, 1 and 10e-1. */
function decimalOf(text: string): string {
  const [, sign, whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text) ?? []
  const digits = whole + fraction
  let start = 0
  while (start < digits.length && digits[start] === '0') start++
  if (start === digits.length) return whole && '0'
  // Not a regular expression, which would scan to the end from each zero.
  let end = digits.length
  while (digits[end - 1] === '0') end--
  return `${sign}${digits.slice(start, end)}e${Number(exponent) - fraction.length + digits.length - end}`
}
