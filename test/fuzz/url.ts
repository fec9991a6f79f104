/**
 * The text for a part of a URL; half of a surrogate pair, which has no UTF-8, as the bytes that it would
 * have.
 */
export function encodedPart(text: string): string {
  if (text.isWellFormed()) return encodeURIComponent(text)
  return [...text].map((one) => (one.isWellFormed() ? encodeURIComponent(one) : '%ED%A0%80')).join('')
}
