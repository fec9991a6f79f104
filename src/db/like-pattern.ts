/** The LIKE pattern of "has this text somewhere in it": `%`, `_` and `\` in the text mean themselves. */
export function likePattern(text: string): string {
  return `%${text.replace(/[%_\\]/g, '\\$&')}%`
}
