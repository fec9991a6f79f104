/**
 * The rules for the names of credentials, credential types, projects, access tokens and users. They depend
 * only on Unicode, not on a locale: `cleanName` decides what is stored, `foldName` which names are equal.
 */

/** The maximum length of a name, in Unicode code points. */
export const MAX_NAME = 200
/** The maximum UTF-16 units of a name before it is cleaned: normalization can take quadratic time. */
const MAX_UNITS = 8 * MAX_NAME

/** The text as it is stored, or the error: a stable code, and a sentence that does not repeat the text. */
export type Cleaned = { text: string } | { code: string; message: string }

const CONTROL = /[\p{Cc}\u2028\u2029]/v
const BIDIRECTIONAL = /\p{Bidi_Control}/v
// Format characters but the signs that Arabic, Syriac and Kaithi write around digits; an empty musical note
// head and a filler of Khitan.
const INVISIBLE =
  /[\p{Default_Ignorable_Code_Point}\u{1d159}\u{16fe4}[\p{Cf}--[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}]]]/v
// Emoji of later versions of Unicode are in reserved places. Other characters of later versions are refused,
// because how they fold is not known yet.
const UNASSIGNED = /[\p{Cn}--\p{Extended_Pictographic}]/v
// U+2800 is a Braille pattern without dots, the space of Braille.
const SPACE = /[\p{White_Space}\u2800]/v
const VISIBLE = /[[\p{L}\p{N}\p{P}\p{S}\p{Extended_Pictographic}]--\u2800]/v

/** Scripts in which a joiner between letters changes their shape (RFC 5892, appendix A.1 and A.2). */
const JOINING_SCRIPTS = [
  ...['Arab', 'Syrc', 'Mand', 'Nkoo', 'Adlm', 'Rohg', 'Mong', 'Phag'],
  ...['Deva', 'Beng', 'Guru', 'Gujr', 'Orya', 'Taml', 'Telu', 'Knda', 'Mlym', 'Sinh'],
  ...['Khmr', 'Mymr', 'Java', 'Bali', 'Cakm', 'Newa', 'Tirh', 'Sidd']
]
const joining = `[[\\p{L}\\p{M}]&&[${JOINING_SCRIPTS.map((script) => `\\p{scx=${script}}`).join('')}]]`

/** Invisible characters in the places where people and keyboards write them. */
const EXPECTED_INVISIBLE = new RegExp(
  [
    String.raw`\p{RGI_Emoji}`,
    String.raw`(?<=\p{ExtPict}[\ufe0f\p{EMod}]?)\u200d(?=\p{ExtPict})`,
    String.raw`(?<=\p{ExtPict})[\ufe0e\ufe0f]`,
    String.raw`(?<=${joining})[\u200c\u200d]`,
    // Variants of Mongolian letters and of ideographs.
    String.raw`(?<=[\p{scx=Mong}&&\p{L}])[\u180b-\u180f]`,
    String.raw`(?<=\p{Unified_Ideograph})[\ufe00-\ufe02\u{e0100}-\u{e01ef}]`
  ].join('|'),
  'gv'
)

/**
 * Returns the name trimmed and in NFC. Rejects invisible characters, and characters that make different names
 * look alike or a name look like something else.
 */
export function cleanName(text: string): Cleaned {
  if (text === '') return { code: 'too-short', message: 'This must be at least 1 character long.' }
  if (text.length > MAX_UNITS) return tooLong
  const normalized = trim(text).normalize('NFC')
  if (CONTROL.test(normalized)) return refusal('a control character, such as a tab or a line break')
  if (BIDIRECTIONAL.test(normalized)) return refusal('a character that changes the direction of the text')
  if (INVISIBLE.test(normalized.replace(EXPECTED_INVISIBLE, '')))
    return refusal('an invisible character, such as a zero-width space')
  if (UNASSIGNED.test(normalized)) return refusal('an unassigned Unicode character')
  if (!VISIBLE.test(normalized)) return refusal('no visible character')
  return [...normalized].length > MAX_NAME ? tooLong : { text: normalized }
}

const tooLong: Cleaned = { code: 'too-long', message: `This must be at most ${MAX_NAME} characters long.` }

const refusal = (what: string): Cleaned => ({ code: 'wrong-form', message: `This contains ${what}.` })

// A regular expression would take quadratic time: it would search for the end from each space in the text.
function trim(text: string): string {
  let end = text.length
  while (end > 0 && SPACE.test(text[end - 1]!)) end--
  let start = 0
  while (start < end && SPACE.test(text[start]!)) start++
  return text.slice(start, end)
}

/** Returns a name to look up. It need not be a valid name. */
export function cleanLookupName(text: string): Cleaned {
  return text.length > MAX_UNITS ? tooLong : { text: trim(text).normalize('NFC') }
}

/**
 * Returns the key by which names are compared, searched and ordered: two names are equal if their keys are.
 * It ignores case (Unicode's full case folding, which is the same in every language), canonically equivalent
 * forms, invisible characters, the kind and number of spaces, and those around the name.
 */
export function foldName(text: string): string {
  const visible = text.replace(IGNORED, '').replace(SPACES, ' ').trim()
  return Array.from(visible.normalize('NFD'), foldCase).join('').normalize('NFC')
}

// Tags occur only in flags, and tell these apart.
const IGNORED = /[\p{Default_Ignorable_Code_Point}--[\u{e0020}-\u{e007f}]]/gv
const SPACES = /[\p{White_Space}\u2800]+/gv

/**
 * Folds the case of one character. The result is equal for two characters if Unicode's full case folding is.
 * Three kinds are special: `ẞ` has the upper case `SS` only by its lower case; the dotless `ı` folds to
 * itself, though its upper case is that of `i`; Cherokee folds to lower instead of upper case.
 */
function foldCase(character: string): string {
  return character === 'ı' ? character : character.toLowerCase().toUpperCase().toLowerCase()
}

/** The columns of a name. */
export function nameColumns(name: string): { name: string; name_key: string } {
  return { name, name_key: foldName(name) }
}

/** Returns a LIKE pattern for the keys of names that contain `text`. */
export function searchPattern(text: string): string {
  return `%${foldName(text).replace(/[%_\\]/g, '\\$&')}%`
}

/** Returns the pattern for a search text, or undefined if there is none. */
export function patternOf(search: string | undefined): string | undefined {
  return search ? searchPattern(search) : undefined
}
