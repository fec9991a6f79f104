import fc from 'fast-check'
import { sql } from 'kysely'
import t from 'tap'
import { cleanName, foldName, searchPattern } from '../src/names.ts'
import { createTestDatabase } from './helpers/database.ts'

const cleaned = (text: string) => {
  const result = cleanName(text)
  return 'text' in result ? result.text : result.message
}

t.test('a name is stored in NFC, without surrounding white space', async (t) => {
  const spaces = '\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000'
  t.equal(cleaned(`${spaces}Mail server${spaces}`), 'Mail server')
  t.equal(cleaned('a\u00a0b'), 'a\u00a0b', 'inner white space is kept')
  t.equal(cleaned('Cafe\u0301'), 'Caf\u00e9')
  t.equal(cleaned('\u212b'), '\u00c5', 'the Ångström sign')
  t.equal(cleaned(`${' '.repeat(1_599)}x`), 'x')
  t.equal(
    cleaned(`${' '.repeat(1_600)}x`),
    'This must be at most 200 characters long.',
    'the length of the input is limited too'
  )
})

t.test('a name has at most 200 characters in NFC', async (t) => {
  t.equal(cleaned('e\u0301'.repeat(200)), '\u00e9'.repeat(200), '400 before')
  t.equal(cleaned('\u1100\u1161\u11a8'.repeat(200)), '각'.repeat(200), '600 before')
  t.equal(cleaned('🔑'.repeat(200)), '🔑'.repeat(200))
  for (const long of ['x'.repeat(201), '🔑'.repeat(201), `Q${'\u0344'.repeat(100)}`, 'x'.repeat(1_000_000)])
    t.same(cleanName(long), { code: 'too-long', message: 'This must be at most 200 characters long.' })
})

const REFUSED: Record<string, Record<string, string>> = {
  'This contains no visible character.': {
    spaces: '  ',
    'other spaces': '\u2003\u3000\u00a0',
    lines: '\n\u2028',
    'an empty Braille pattern': ' \u2800',
    'a mark alone': '\u0301'
  },
  'This contains a control character, such as a tab or a line break.': {
    tab: 'a\tb',
    'line break': 'a\nb',
    NUL: 'a\0b',
    C1: 'a\u0090b',
    'next line': 'a\u0085b',
    'line separator': 'a\u2028b',
    'paragraph separator': 'a\u2029b'
  },
  'This contains a character that changes the direction of the text.': Object.fromEntries(
    Array.from('\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069', (one) => [
      one.codePointAt(0)!.toString(16),
      `a${one}b`
    ])
  ),
  'This contains an invisible character, such as a zero-width space.': {
    'zero-width space': 'Mail\u200b',
    'byte order mark': '\ufeffMail',
    'soft hyphen': 'Ma\u00adil',
    'word joiner': 'Ma\u2060il',
    'grapheme joiner': 'Ma\u034fil',
    'invisible times': 'a\u2062b',
    'Hangul fillers': '\u115f\u1160',
    'Hangul filler': '\u3164',
    'a hieroglyph format character': 'Pay\u{13430}',
    'an empty note head': 'Pay\u{1d159}',
    'a Khitan filler': 'Pay\u{16fe4}',
    'halfwidth Hangul filler': '\uffa0',
    'Mongolian vowel separator': 'a\u180eb',
    'Khmer inherent vowel': 'a\u17b4',
    'annotation anchor': 'a\ufff9b',
    tag: 'a\u{e0041}',
    'an invalid flag sequence': '🏴\u{e0075}\u{e0073}\u{e007f}',
    'variation selector after a letter': 'a\ufe0f',
    'variation selector 17': 'a\u{e0100}',
    'emoji selector after a digit alone': '1\ufe0f',
    'joiner in Latin': 'Ma\u200dil',
    'non-joiner in Latin': 'Ma\u200cil',
    'joiner after an emoji alone': '👩\u200d',
    'two joiners': 'م\u200c\u200cخ'
  },
  'This contains an unassigned Unicode character.': {
    noncharacter: 'a\ufdd0',
    'last of a plane': 'a\u{1fffe}',
    unassigned: 'a\u0378'
  }
}

for (const [message, texts] of Object.entries(REFUSED)) {
  t.test(`a name is refused: ${message}`, async (t) => {
    for (const [what, text] of Object.entries(texts)) {
      if (what === 'lines') t.equal(cleaned(text), message, what)
      else t.same(cleanName(text), { code: 'wrong-form', message }, what)
    }
  })
}

t.test('invisible characters are accepted where scripts and emoji need them', async (t) => {
  const names = [
    // Signs that enclose digits.
    ...['\u0600\u0661', '\u06dd\u0662'],
    ...['❤️', '❤︎', '👩‍💻', '👨🏽‍💻', '👨‍👩‍👧‍👦', '🏳️‍🌈', '1️⃣', '🇩🇪', '🏴󠁧󠁢󠁳󠁣󠁴󠁿'],
    // Without variation selectors.
    '👁‍🗨',
    // An emoji of a later Unicode version.
    '\u{1faff}',
    // Persian, Hindi, Bengali, Malayalam, Sinhala, Mongolian, Japanese.
    ...['می\u200cخواهم', 'क्\u200dष', 'র\u200d্য', 'ന്\u200d', 'ශ්\u200dරී', 'ᠮᠣᠩᠭᠣᠯ\u180b', '葛\u{e0100}城']
  ]
  for (const name of names) t.equal(cleaned(name), name, JSON.stringify(name))
})

t.test('names that differ only in form have the same key', async (t) => {
  const same: [string, string][] = [
    ['MAIL', 'mail'],
    ['Pa y', 'Pa\u2800y'],
    ['Pay', 'Pay\u2800'],
    ['Straße', 'STRASSE'],
    ['Stra\u1e9ee', 'strasse'],
    ['ΟΔΟΣ', 'οδος'],
    ['οδός', 'ΟΔΌΣ'],
    ['\u0130', 'i\u0307'],
    ['\u212a', 'k'],
    ['\u017f', 'S'],
    ['ﬁle', 'FILE'],
    ['ﬆ', 'ﬅ'],
    ['\u01c4', '\u01c6'],
    ['Ω', '\u2126'],
    ['É', 'e\u0301'],
    ['a\u0323\u0307', 'a\u0307\u0323'],
    ['ᾳ', 'ΑΙ'],
    ['\u13a0', '\uab70'],
    ['\u{10400}', '\u{10428}'],
    ['Mail server', 'mail\u00a0\u2003server'],
    [' Mail ', 'mail'],
    ['Mail', 'Ma\u200bil\ufeff'],
    ['❤', '❤️']
  ]
  for (const [one, other] of same) t.equal(foldName(one), foldName(other), `${one} ${other}`)
  const different: [string, string][] = [
    ['i', 'ı'],
    ['e', 'é'],
    ['o', 'ø'],
    ['a b', 'ab'],
    ['1', '١'],
    ['🏴󠁧󠁢󠁥󠁮󠁧󠁿', '🏴󠁧󠁢󠁳󠁣󠁴󠁿']
  ]
  for (const [one, other] of different) t.not(foldName(one), foldName(other), `${one} ${other}`)
})

t.test('the key of a name equals the key of its stored form, and is its own key', async (t) => {
  const text = fc.string({ unit: 'binary', maxLength: 40 })
  fc.assert(
    fc.property(text, (text) => {
      const key = foldName(text)
      t.equal(foldName(key), key)
      t.equal(foldName(text.normalize('NFD')), key)
      const result = cleanName(text)
      if (!('text' in result)) return
      t.equal(foldName(result.text), key)
      t.same(cleanName(result.text), result)
    }),
    { numRuns: 2_000 }
  )
})

t.test('a search has no wildcards', async (t) => {
  t.equal(searchPattern('50%_Ä\\'), '%50\\%\\_ä\\\\%')
})

// casefold() of Postgres 18 is an independent implementation of full case folding.
t.test('names are compared by Unicode case folding', async (t) => {
  const { db, drop } = await createTestDatabase()
  t.teardown(drop)
  const { rows: functions } = await sql`select from pg_proc where proname = 'casefold'`.execute(db)
  if (functions.length === 0) return t.pass('this Postgres has no casefold()')
  const { rows } = await sql<{ character: string; folded: string }>`
    select character, normalize(casefold(normalize(character, nfd) collate "pg_unicode_fast"), nfc) as folded
    from (select chr(i) as character from generate_series(1, 1114111) i where i not between 55296 and 57343) c
    where unicode_assigned(character)`.execute(db)
  t.ok(rows.length > 280_000, `${rows.length} characters`)
  const ignored = /[\p{White_Space}\p{Default_Ignorable_Code_Point}]/v
  const differing = rows.filter(
    ({ character, folded }) => !ignored.test(character) && foldName(character) !== foldName(folded)
  )
  t.same(differing, [], 'a character and its folding have the same key')
  // Characters with different foldings must have different keys.
  const byKey = Map.groupBy(
    rows.filter(({ character }) => !ignored.test(character)),
    ({ character }) => foldName(character)
  )
  const merged = [...byKey.values()].filter((group) => new Set(group.map(({ folded }) => folded)).size > 1)
  t.same(merged, [], 'no other characters share a key')
})
