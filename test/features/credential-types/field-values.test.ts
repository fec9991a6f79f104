import t from 'tap'
import type { FieldConstraints, FieldType } from '../../../src/db/tables.ts'
import { hasNoValue, validateValue } from '../../../src/features/credential-types/field-values.ts'
import {
  MAX_INSTRUCTIONS,
  MAX_WORK,
  PatternSearch,
  sizeOfPattern
} from '../../../src/features/credential-types/patterns.ts'
import type { FieldRow } from '../../../src/features/credential-types/repository.ts'
import { numberOf } from '../../../src/json.ts'

const CANARY = 'canary-4711'

const field = (field_type: FieldType, rest: Partial<Omit<FieldRow, 'field_type'>> = {}) => ({
  field_type,
  secret: rest.secret ?? false,
  required: rest.required ?? true,
  constraints: rest.constraints ?? null,
  options: rest.options ?? null,
  pattern: rest.pattern ?? null
})

const textOf = (value: unknown) => (JSON.stringify(value) ?? 'undefined').slice(0, 40)

const fitting: [FieldType, unknown[]][] = [
  [
    'text',
    [
      '',
      'a',
      'líne\nend',
      '🦊',
      'a'.repeat(65_536),
      'é'.repeat(32_768),
      '"'.repeat(65_536),
      '\u0001'.repeat(65_536)
    ]
  ],
  ['password', ['', 'p ss']],
  ['multiline', ['-----BEGIN KEY-----\nabc\n']],
  ['number', [0, -1.5, 1e300, numberOf('1.00'), numberOf('-0'), numberOf('9'.repeat(400))]],
  ['boolean', [true, false]],
  [
    'url',
    [
      '',
      'https://example.org',
      'HTTP://EXAMPLE.ORG:8080/a?x=1@b#c@d',
      'http://[::1]:8080',
      'https://bücher.example'
    ]
  ],
  ['email', ['', 'a@b', "o'neill+x@example.org", 'ö@exämple.org']],
  ['select', ['a', 'b c']],
  ['json', [{}, [], 0, false, '', 'x', { a: { b: [null] } }]]
]

const unfit: [FieldType, unknown[], string][] = [
  ['text', [1, true, null, undefined, {}, ['a']], 'wrong-type'],
  ['password', [1, null], 'wrong-type'],
  ['multiline', [['a']], 'wrong-type'],
  ['number', ['1', true, null, Number.NaN, Number.POSITIVE_INFINITY], 'wrong-type'],
  ['boolean', ['true', 0, null], 'wrong-type'],
  ['url', [1, null], 'wrong-type'],
  [
    'url',
    [
      ...['example.org', '/path', '//host', 'http://', 'https://a b', ' https://a', 'https://a\n'],
      ...['localhost:8080', 'minio:9000', 'play.example.org:443/dev', 'javascript:alert(1)', 'mailto:a@b'],
      ...[
        'postgresql://h/d',
        'file:///etc/passwd',
        'https:host',
        'https:/host',
        'https:///host',
        'https:\\\\h'
      ],
      ...['https://h\\@x', 'https://?x', 'https://#x', 'https://:80', 'https://h:99999', 'data:,x', 'HTTP:']
    ],
    'wrong-format'
  ],
  [
    'url',
    ['https://u:p@h', 'https://u@h', 'https://@h', 'https://:p@h/x', 'HTTPS://u:p@h?x'],
    'user-information'
  ],
  ['email', [1], 'wrong-type'],
  [
    'email',
    ['a', '@b', 'a@', 'a@b@c', 'a b@c', 'a@b\n', 'a@b\u0000', `${'a'.repeat(319)}@b`],
    'wrong-format'
  ],
  ['select', [1, null], 'wrong-type'],
  ['select', ['', 'A', 'a ', 'constructor'], 'not-allowed'],
  ['json', [null, undefined], 'wrong-type'],
  ['text', ['a'.repeat(65_537), 'é'.repeat(32_769)], 'too-large'],
  ['json', [{ a: 'a'.repeat(65_536) }], 'too-large']
]

t.test('values are valid, or are rejected with an error code', async (t) => {
  const options = { options: ['a', 'b c'] }
  for (const [type, values] of fitting) {
    for (const value of values)
      t.equal(validateValue(field(type, options), value), undefined, `${type} ${textOf(value)}`)
  }
  for (const [type, values, code] of unfit) {
    for (const value of values)
      t.match(validateValue(field(type, options), value), { code }, `${type} ${textOf(value)}`)
  }
})

t.test('a pattern may match anywhere, and applies only to strings', async (t) => {
  const digits = { pattern: '[0-9]{2}' }
  for (const type of ['text', 'password', 'multiline'] as const) {
    t.equal(validateValue(field(type, digits), 'ab12cd'), undefined, type)
    t.match(validateValue(field(type, digits), 'ab1cd'), { code: 'wrong-form' }, type)
    t.match(
      validateValue(field(type, { pattern: '^[0-9]{2}$' }), 'ab12cd'),
      { code: 'wrong-form' },
      'an anchored pattern'
    )
  }
  t.equal(validateValue(field('url', { pattern: '^https:' }), 'https://a'), undefined)
  t.match(validateValue(field('url', { pattern: '^https:' }), 'http://a'), { code: 'wrong-form' })
  t.match(validateValue(field('email', { pattern: '@example[.]org$' }), 'a@b'), { code: 'wrong-form' })
  t.match(
    validateValue(field('text', { pattern: '^a$' }), 'a\n'),
    { code: 'wrong-form' },
    '$ does not match before a final newline'
  )
  t.equal(validateValue(field('json', digits), 'x'), undefined)
  t.match(validateValue(field('text', { pattern: 'a' }), 'a'.repeat(4_097)), { code: 'too-large' })
  t.equal(validateValue(field('text', { pattern: 'a' }), 'a'.repeat(4_096)), undefined)
})

t.test('the patterns of one request share one limit', async (t) => {
  const pattern = '(?i)([a-zé]?){400}$'
  const large = field('text', { pattern })
  const instructions = sizeOfPattern(pattern)!
  const fits = 'a'.repeat(Math.floor(MAX_WORK / instructions))
  t.equal(validateValue(large, fits), undefined)
  t.match(validateValue(large, `${fits}a`), { code: 'too-large' })
  const search = new PatternSearch()
  const half = 'a'.repeat(fits.length / 2)
  t.equal(validateValue(large, half, search), undefined)
  t.equal(validateValue(large, half, search), undefined)
  t.match(validateValue(large, half, search), { code: 'too-large' }, 'over the limit at the third value')
  t.match(
    validateValue(field('text', { pattern: 'a' }), 'a', search),
    { code: 'too-large' },
    'all further values are refused'
  )
})

t.test('a hostile pattern takes bounded time', async (t) => {
  const value = `${'a'.repeat(4_000)}!`
  for (const pattern of ['(a+)+$', '(a|a)*$', '(a|aa)+$', '((a*)*)*$', '(a?){100}a{100}$', '(a*)*b']) {
    const began = performance.now()
    validateValue(field('text', { pattern }), value)
    t.ok(performance.now() - began < 5_000, `${pattern}: ${Math.round(performance.now() - began)} ms`)
  }
})

t.test('the size of a pattern is computed, and a far too large one is not compiled', async (t) => {
  const usual = [
    '^sk_(live|test)_[A-Za-z0-9]{24,64}$',
    '^[A-Za-z0-9_-]{1,1000}$',
    '^(?:[A-Za-z0-9+/]{4}){1,200}={0,2}$',
    '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
    '^([a-z0-9-]{1,63}[.]){1,8}[a-z]{2,63}$',
    `^(${Array.from({ length: 80 }, (_, i) => `region-${i}`).join('|')})$`,
    '^\\{5000\\}$',
    '\\p{L}'
  ]
  for (const pattern of usual) {
    const size = sizeOfPattern(pattern)
    t.ok(size !== undefined && size > 0 && size <= MAX_INSTRUCTIONS, `${pattern.slice(0, 60)}: ${size}`)
  }
  for (const pattern of ['a{1000}'.repeat(140), '(a{0,1000}){1}'.repeat(70), `(${'abc'.repeat(300)}){100}`]) {
    t.equal(sizeOfPattern(pattern), Number.POSITIVE_INFINITY, pattern.slice(0, 60))
  }
  for (const pattern of ['(', '[', 'a{1001}', '(a)\\1', '(?!a)', '*'])
    t.equal(sizeOfPattern(pattern), undefined, pattern)
})

t.test('patterns that were evicted from the cache still work', async (t) => {
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 150; i++) {
      const numbered = field('text', { pattern: `^n${i}$` })
      if (validateValue(numbered, `n${i}`) || !validateValue(numbered, `n${i + 1}`)) t.fail(`pattern ${i}`)
    }
  }
})

t.test('no error contains the value', async (t) => {
  const errors = [
    validateValue(field('number'), CANARY),
    validateValue(field('boolean'), CANARY),
    validateValue(field('url'), CANARY),
    validateValue(field('email'), CANARY),
    validateValue(field('select', { options: ['a'] }), CANARY),
    validateValue(field('text', { pattern: '^x' }), CANARY),
    validateValue(field('text'), CANARY.repeat(10_000)),
    validateValue(field('text'), { [CANARY]: 1 })
  ]
  for (const error of errors) t.notMatch(JSON.stringify(error ?? CANARY), CANARY)
})

t.test('null is no value; an empty string is one only for optional text fields', async (t) => {
  const optional = { required: false }
  for (const type of ['text', 'number', 'json'] as const) {
    for (const value of [undefined, null]) t.equal(hasNoValue(value, field(type, optional)), true)
    for (const value of [0, false, ' ', {}, []]) t.equal(hasNoValue(value, field(type)), false)
  }
  for (const type of ['text', 'password', 'multiline', 'url', 'email'] as const) {
    t.equal(hasNoValue('', field(type, optional)), false, `optional ${type}`)
    t.equal(hasNoValue('', field(type)), true, `required ${type}`)
  }
  for (const type of ['number', 'boolean', 'select'] as const)
    t.equal(hasNoValue('', field(type, optional)), true, type)
  t.equal(hasNoValue('', field('json')), false)
})

t.test('constraints restrict numbers, URL schemes and the shape of JSON', async (t) => {
  const error = (type: FieldType, constraints: FieldConstraints, value: unknown) =>
    validateValue(field(type, { constraints, secret: true }), value)?.code
  const port = { integer: true, minimum: 1, maximum: 65_535 }
  for (const value of [1, 65_535, numberOf('5432.0')]) t.equal(error('number', port, value), undefined)
  for (const value of [0, -1, 65_536, 99_999_999, numberOf('1e400')])
    t.match(error('number', port, value), /out-of-range|number-not-exact/)
  for (const value of [5432.5, numberOf('65535.00000000000000001'), numberOf('5.5e0'), numberOf('1e-400')])
    t.equal(error('number', port, value), 'wrong-type')
  for (const text of ['1e0', '8.08e3', '100e-2', '1.5e1'])
    t.equal(error('number', port, numberOf(text)), undefined)
  t.equal(error('number', { integer: true }, numberOf('9'.repeat(400))), undefined)
  for (const [limits, text] of [
    [{ maximum: 9007199254740992 }, '9007199254740993'],
    [{ maximum: 1 }, '1.00000000000000000001'],
    [{ maximum: 0.1 }, '0.1000000000000000055'],
    [{ minimum: 0 }, '-1e-400'],
    [{ maximum: 1e308 }, '1e400']
  ] as const)
    t.equal(error('number', limits, numberOf(text)), 'number-not-exact', text)
  const ssh = { schemes: ['sftp', 'ssh'] }
  for (const value of ['sftp://u:p@h/d', 'SSH://h']) t.equal(error('url', ssh, value), undefined)
  for (const value of ['https://h', 'sftp:h', 'sftp:///x']) t.equal(error('url', ssh, value), 'wrong-format')
  const values = [{}, { a: 1 }, '{"a":1}', ' {} ', '[]', 'x', '"{}"', [], 5, numberOf('1.0'), true, '', null]
  t.same(values.map((value) => !error('json', { shape: 'object' }, value)).lastIndexOf(true), 1)
  t.same(values.map((value) => !error('json', { shape: 'object-or-text' }, value)).lastIndexOf(true), 3)
})
