/** Encodes a part of a URL. A lone surrogate, which UTF-8 cannot encode, becomes bytes of invalid UTF-8. */
export function encodedPart(text: string): string {
  if (text.isWellFormed()) return encodeURIComponent(text)
  return [...text].map((one) => (one.isWellFormed() ? encodeURIComponent(one) : '%ED%A0%80')).join('')
}
