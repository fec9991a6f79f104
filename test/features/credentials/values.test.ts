import assert from 'node:assert/strict'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Answer } from '../../helpers/client.ts'
import { newType, reveal, uniqueName } from '../../helpers/fixtures.ts'

const service = await startTestApp(t)
const ann = await service.newUser()
const V1 = '/api/v1/app-credentials'

interface Shown {
  id: string
  fields: { id: string; fieldName: string }[]
}

const field = (fieldName: string, fieldType: string, more: object = {}) => ({
  fieldName,
  fieldLabel: fieldName,
  fieldType,
  ...more
})

async function builtIn(name: string): Promise<{ id: string; field: Record<string, string> }> {
  const { data } = (await ann.get(`/api/v1/credential-types?search=${name}&pageSize=100`)).json
  const type: Shown = data.find((one: { typeName: string }) => one.typeName === name)
  return { id: type.id, field: Object.fromEntries(type.fields.map((one) => [one.fieldName, one.id])) }
}

const create = (type: { id: string; field: Record<string, string> }, values: Record<string, unknown>) =>
  ann.post(V1, {
    credentialName: uniqueName('values'),
    credentialTypeId: type.id,
    keys: Object.entries(values).map(([name, keyValue]) => ({ fieldId: type.field[name], keyValue }))
  })

const change = (type: { field: Record<string, string> }, id: string, values: Record<string, unknown>) =>
  ann.put(`${V1}/${id}`, {
    keys: Object.entries(values).map(([name, keyValue]) => ({ fieldId: type.field[name], keyValue }))
  })

const lightning = (schema: string, body: object) =>
  ann.post('/api/credentials', { name: uniqueName('lightning'), schema, body })

/** Asserts that the response refuses the value of the only key with this code. */
function isRefused(t: Test, answer: Answer, code: string, what: string) {
  t.match(answer, { status: 400, json: { errors: [{ path: '/body/keys/0/keyValue', code }] } }, what)
}

t.test('a URL needs a host and http or https, and a user only if it is secret', async (t) => {
  const open = await newType(ann, [field('value', 'url')])
  const secret = await newType(ann, [field('value', 'url', { secret: true })])
  for (const url of [
    'https://example.org',
    'http://localhost:8080',
    'HTTPS://[::1]/a?b=c@d#e',
    'http://bücher.example/é'
  ])
    for (const type of [open, secret]) t.same((await create(type, { value: url })).status, 201, url)
  const refused = [
    ...['localhost:8080', 'minio:9000', 'play.dhis2.org:443/dev', 'javascript:alert(1)', 'example.org', '/x'],
    ...[
      'ftp://example.org',
      'https:example.org',
      'https:///x',
      'https:\\\\example.org',
      ' https://a',
      'https://'
    ]
  ]
  for (const url of refused) {
    isRefused(t, await create(open, { value: url }), 'wrong-format', url)
    t.match(await lightning('dhis2', { hostUrl: url }), {
      status: 422,
      json: { errors: { body: [/http:\/\/ or https:\/\//] } }
    })
  }
  isRefused(t, await create(open, { value: `https://${'字'.repeat(301)}` }), 'wrong-format', 'a long host')
  for (const url of [
    'https://svc:pa55@example.org/dev',
    'https://svc@example.org',
    'http://:p@h',
    'https://@h'
  ]) {
    isRefused(t, await create(open, { value: url }), 'user-information', url)
    t.equal((await create(secret, { value: url })).status, 201, `${url}, secret`)
    const answer = await lightning('dhis2', { hostUrl: url })
    t.match(answer, { status: 422, json: { errors: { body: [/user name/] } } }, url)
    t.notMatch(answer.text, 'pa55', 'the value is not echoed')
  }
})

t.test('no accepted URL has another host for another parser', async (t) => {
  const type = await newType(ann, [field('value', 'url')])
  const part = fc.constantFrom(
    'http',
    'https',
    'javascript',
    ':',
    '/',
    '//',
    '\\',
    '@',
    '?',
    '#',
    'a.example',
    'b',
    '\t',
    ' ',
    '%40'
  )
  await fc.assert(
    fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 7 }), async (parts) => {
      const text = parts.join('')
      const answer = await create(type, { value: text })
      const authority = /^https?:\/\/([^/?#@\\\s]+)(?:[/?#]|$)/i.exec(text)?.[1]
      if (answer.status !== 201) return t.match(answer, { status: 400 }, text)
      // The authority of RFC 3986 equals the host of WHATWG URLs.
      t.equal(new URL(text).host, authority?.replace(/:$/, ''), text)
      t.equal((await reveal(ann, answer.json.id))['value'], text)
    }),
    { numRuns: 300 }
  )
})

t.test('a type may allow other schemes', async (t) => {
  const type = await newType(ann, [field('value', 'url', { constraints: { schemes: ['sftp', 'git+ssh'] } })])
  for (const url of ['sftp://example.org/x', 'GIT+SSH://example.org'])
    t.equal((await create(type, { value: url })).status, 201)
  for (const url of ['https://example.org', 'sftp:example.org', 'sftp:///x'])
    isRefused(t, await create(type, { value: url }), 'wrong-format', url)
  t.match(await create(type, { value: 'https://h' }), {
    json: { errors: [{ message: 'This must be a URL that starts with sftp:// or git+ssh:// and a host.' }] }
  })
})

t.test('constraints must fit the field type, and can be changed and removed', async (t) => {
  const types = '/api/v1/credential-types'
  for (const [entry, code] of [
    [field('a', 'text', { constraints: { minimum: 1 } }), 'not-for-this-type'],
    [field('a', 'number', { constraints: { schemes: ['ssh'] } }), 'not-for-this-type'],
    [field('a', 'url', { constraints: { shape: 'object' } }), 'not-for-this-type'],
    [field('a', 'number', { constraints: { minimum: 2, maximum: 1 } }), 'out-of-range'],
    [field('a', 'url', { constraints: { schemes: ['SSH'] } }), 'wrong-form'],
    [field('a', 'json', { constraints: { shape: 'list' } }), 'not-allowed'],
    [field('a', 'json', { constraints: { size: 1 } }), 'unknown-property']
  ] as const)
    t.match(
      await ann.post(types, { typeName: uniqueName('c'), fields: [entry] }),
      { status: 400, json: { errors: [{ code }] } },
      code
    )
  const constraints = { minimum: 1, maximum: 9 }
  const type = await newType(ann, [field('a', 'number', { constraints })])
  isRefused(t, await create(type, { a: 10 }), 'out-of-range', '10')
  const id = type.field['a']
  const kept = await ann.put(`${types}/${type.id}`, { fields: [{ id, fieldLabel: 'A' }] })
  t.same(kept.json.fields[0].constraints, constraints)
  t.notOk(
    'constraints' in
      (await ann.put(`${types}/${type.id}`, { fields: [{ id, constraints: {} }] })).json.fields[0]
  )
  t.equal((await create(type, { a: 10 })).status, 201)
})

t.test('limits must be numbers that a double can represent', async (t) => {
  const fieldOf = (constraints: string) =>
    `{"typeName":"${uniqueName('limits')}","fields":[{"fieldName":"n","fieldLabel":"N",` +
    `"fieldType":"number","constraints":${constraints}}]}`
  const send = (raw: string) =>
    ann.post('/api/v1/credential-types', undefined, { raw, headers: { 'content-type': 'application/json' } })
  for (const [limit, json] of [
    ['maximum', '9007199254740993'],
    ['maximum', '18446744073709551615'],
    ['minimum', '1e-400'],
    ['maximum', '1e400']
  ]) {
    const path = `/body/fields/0/constraints/${limit}`
    const answer = await send(fieldOf(`{"${limit}":${json}}`))
    t.match(
      answer,
      { status: 400, json: { errors: [{ path, code: 'number-not-exact' }] } },
      `${limit} ${json}`
    )
  }
  t.equal((await send(fieldOf('{"minimum":-1.50,"maximum":100000000000000000000.0}'))).status, 201)
})

t.test('a port is a whole number from 1 to 65535', async (t) => {
  const type = await builtIn('ssh-key')
  for (const port of [1, 22, 65_535])
    t.equal((await create(type, { port, username: 'u', privateKey: 'k' })).status, 201)
  for (const port of [0, -1, 65_536, 99_999_999, 5432.5, 1e300]) {
    t.match(
      await create(type, { port }),
      { status: 400, json: { errors: [{ path: '/body/keys/0/keyValue' }] } },
      String(port)
    )
    t.match(await lightning('ssh-key', { username: 'u', privateKey: 'k', port }), { status: 422 })
  }
})

t.test('raw accepts only objects, with any number of members', async (t) => {
  const raw = await builtIn('raw')
  for (const body of ['text', [1, 2], 5, true, '', '{}', [{}]]) {
    isRefused(t, await create(raw, { body }), 'wrong-type', JSON.stringify(body))
    t.match(await lightning('raw', body as object), { status: 422 }, JSON.stringify(body))
  }
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, i]))
  for (const body of [{}, many]) {
    t.same(await reveal(ann, (await create(raw, { body })).json.id), { body })
    t.same((await lightning('raw', body)).json.credential.body, body)
  }
})

t.test('a key file is an object or its text, and is returned unchanged', async (t) => {
  const type = await builtIn('gcp-service-account')
  const file = { type: 'service_account', private_key: '-----BEGIN PRIVATE KEY-----\nabc\n' }
  for (const credentials of [
    file,
    JSON.stringify(file, null, 2),
    `\ufeff${JSON.stringify(file)}`,
    `${JSON.stringify(file)}\n`,
    '{}'
  ])
    t.same(await reveal(ann, (await create(type, { credentials })).json.id), { credentials })
  for (const credentials of [0, false, [], 'not a key', '', '[]', '5', '{"a":}'])
    isRefused(t, await create(type, { credentials }), 'wrong-type', JSON.stringify(credentials))
})

t.test('an empty string is a value of an optional field, but not of a required one', async (t) => {
  const texts = ['text', 'password', 'multiline', 'url', 'email']
  const optional = await newType(
    ann,
    texts.map((type) =>
      field(type, type, { required: false, ...(type === 'text' && { secret: false, pattern: '^a+$' }) })
    )
  )
  const empty = Object.fromEntries(texts.map((type) => [type, '']))
  const { id } = (await create(optional, empty)).json
  t.same(await reveal(ann, id), empty)
  await change(optional, id, { text: 'a', password: 'p', url: 'https://a' })
  await change(optional, id, { text: '', password: '', url: '', multiline: null })
  t.same(
    await reveal(ann, id),
    { text: '', password: 'p', url: '', email: '' },
    'in a change it keeps a secret, because forms cannot show secrets'
  )
  const required = await newType(ann, [...texts.map((type) => field(type, type))])
  t.match(await create(required, empty), {
    status: 400,
    json: { errors: [{ path: '/body/keys', code: 'required' }] }
  })
})

t.test('an empty string keeps the value of a secret of any type', async (t) => {
  const types = ['text', 'password', 'multiline', 'url', 'email', 'number', 'boolean', 'json']
  const values: Record<string, unknown> = {
    ...{
      text: 'a',
      password: 'b',
      multiline: 'c',
      url: 'https://u:p@h',
      email: 'a@b',
      number: 1,
      boolean: true
    },
    json: { a: 1 }
  }
  for (const required of [true, false]) {
    const type = await newType(
      ann,
      types.map((one) => field(one, one, { required, secret: true }))
    )
    const { id } = (await create(type, values)).json
    const path = `${V1}/${id}/environments/staging`
    const keysOf = (all: Record<string, unknown>) => ({
      keys: types.map((one) => ({ fieldId: type.field[one], keyValue: all[one] }))
    })
    t.equal((await ann.put(path, keysOf(values))).status, 200)
    const empty = Object.fromEntries(types.map((one) => [one, '']))
    t.equal((await change(type, id, empty)).status, 200)
    t.equal((await ann.put(path, keysOf(empty))).status, 200)
    t.same(await reveal(ann, id), values)
    const staging = (await ann.post(`${V1}/${id}/reveal`, { environment: 'staging' })).json.keys
    t.same(
      staging.map((key: { keyValue: unknown }) => key.keyValue),
      Object.values(values)
    )
  }
})

t.test('a default must be a valid value of its field', async (t) => {
  for (const [fieldType, required] of [
    ['text', true],
    ['url', true],
    ['number', false]
  ] as const) {
    const entry = field('a', fieldType, { secret: false, required, defaultValue: '' })
    const answer = await ann.post('/api/v1/credential-types', { typeName: uniqueName('d'), fields: [entry] })
    t.match(answer, { status: 400, json: { errors: [{ path: '/body/fields/0/defaultValue' }] } }, fieldType)
  }
})

t.test('additional properties are removed when fields of their names are set or cleared', async (t) => {
  const type = await builtIn('postgresql')
  const make = async () => {
    const body = { host: 'h', database: 'd', password: 12345678, user: null, other: [1] }
    return (await lightning('postgresql', body)).json.credential.id as string
  }
  const id = await make()
  t.same((await reveal(ann, id))['extra'], { password: 12345678, user: null, other: [1] })
  await change(type, id, { password: 'rotated' })
  t.same((await reveal(ann, id))['extra'], { user: null, other: [1] }, 'set')
  await change(type, id, { password: null, user: null })
  t.same(await reveal(ann, id), { host: 'h', database: 'd', extra: { other: [1] } }, 'cleared')
  const cleared = await make()
  await change(type, cleared, { password: null })
  t.same(
    (await reveal(ann, cleared))['extra'],
    { user: null, other: [1] },
    'cleared, although it had no value'
  )
  await change(type, cleared, { user: 'u', extra: { own: 1.5 } })
  t.same((await reveal(ann, cleared))['extra'], { own: 1.5 })

  const kept = await make()
  await change(type, kept, { password: '', user: '' })
  t.same(
    (await reveal(ann, kept))['extra'],
    { password: 12345678, user: null, other: [1] },
    'an empty string keeps what a form cannot show'
  )
  const nested = (await lightning('postgresql', { host: 'h', database: 'd', extra: { a: 1 } })).json
    .credential
  const { extra } = await reveal(ann, nested.id)
  t.same(extra, { extra: { a: 1 } })
  t.equal((await change(type, nested.id, { extra })).status, 200, 'what was revealed can be sent back')
  const numbers = Array.from({ length: 4_000 }, () => '{"position":1e400}').join()
  const flood = await ann.put(`/api/v1/credential-types/${type.id}`, undefined, {
    raw: `{"fields":[${numbers}]}`,
    headers: { 'content-type': 'application/json' }
  })
  t.match(flood, { status: 400, json: { errors: [{ code: 'number-not-exact' }] } })
  t.equal(flood.json.errors.length, 50)

  const many = Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`k${i}`, i]))
  for (const [extra, code] of [
    [{ host: 'lost' }, 'repeated'],
    [many, 'too-many'],
    [[1], 'wrong-type']
  ] as const)
    isRefused(t, await change(type, id, { extra }), code, code)
  t.equal((await change(type, id, { extra: { password: 'no field has it' } })).status, 200)
  t.match(await lightning('http', many), { status: 422, json: { errors: { body: [/256/] } } })
})

t.test('the size of a value is its length in UTF-8', async (t) => {
  const type = await newType(ann, [field('text', 'multiline'), field('json', 'json', { required: false })])
  for (const text of ['"'.repeat(65_536), '\\'.repeat(65_536), '\u0001'.repeat(65_536), 'é'.repeat(32_768)])
    t.same(await reveal(ann, (await create(type, { text })).json.id), { text })
  for (const text of ['"'.repeat(65_537), 'é'.repeat(32_769)])
    isRefused(t, await create(type, { text }), 'too-large', `${text[0]} ${text.length}`)
  const json = { a: 'x'.repeat(65_536 - '{"a":""}'.length) }
  t.equal((await create(type, { text: 'x', json })).status, 201)
  t.equal((await create(type, { text: 'x', json: { a: `${json.a}x` } })).status, 400)
})

t.test('a leap second is converted to the following second', async (t) => {
  const type = await newType(ann, [field('text', 'text')])
  const body = (expiresAt: string) => ({
    credentialName: uniqueName('leap'),
    credentialTypeId: type.id,
    keys: [{ fieldId: type.field['text'], keyValue: 'a' }],
    expiresAt
  })
  for (const [sent, shown] of [
    ['2098-12-31T23:59:60Z', '2099-01-01T00:00:00.000Z'],
    ['2098-12-31T23:59:60.5Z', '2099-01-01T00:00:00.000Z'],
    ['2099-01-01T05:29:60+05:30', '2099-01-01T00:00:00.000Z'],
    ['2098-12-31 23:59:60z', '2099-01-01T00:00:00.000Z'],
    ['2099-01-01T00:00:00+05', '2098-12-31T19:00:00.000Z'],
    ['2099-01-01 00:00:00.25-0530', '2099-01-01T05:30:00.250Z'],
    ['2098-12-31T23:59:59Z', '2098-12-31T23:59:59.000Z']
  ] as const)
    t.match(await ann.post(V1, body(sent)), { status: 201, json: { expiresAt: shown } }, sent)
  for (const sent of ['2098-12-31T23:58:60Z', '2098-12-31T23:59:61Z', '1969-12-31T23:59:59Z'])
    t.match(
      await ann.post(V1, body(sent)),
      { status: 400, json: { errors: [{ path: '/body/expiresAt' }] } },
      sent
    )
  const token = { name: 'leap', scopes: ['credentials:read'], expiresAt: '2026-12-31T23:59:60Z' }
  t.match(await ann.post('/api/v1/access-tokens', token), {
    status: 201,
    json: { expiresAt: '2027-01-01T00:00:00.000Z' }
  })
  t.equal((await ann.get('/api/v1/audit-events?since=2016-12-31T23:59:60Z')).status, 200)
})

t.test('any text is returned unchanged: keys, certificates, configurations', async (t) => {
  const type = await newType(
    ann,
    ['text', 'password', 'multiline'].map((name) =>
      field(name, name, { required: false, secret: name !== 'text' })
    )
  )
  const line = fc.string({ unit: 'binary', maxLength: 40 })
  const end = fc.constantFrom(
    '\n',
    '\r\n',
    '\r',
    '',
    ' ',
    '\t',
    '\u2028',
    '\ufeff',
    '\\n',
    '$x',
    '{{x}}',
    '%00'
  )
  const file = fc
    .array(fc.tuple(line, end), { minLength: 1, maxLength: 12 })
    .map((lines) => lines.flat().join(''))
  const pem = fc
    .tuple(
      fc.base64String({ maxLength: 400 }),
      fc.constantFrom('\n', '\r\n'),
      fc.constantFrom('', '\n', '\n\n')
    )
    .map(([base64, newline, last]) => {
      const body = base64.match(/.{1,64}/g)?.join(newline) ?? ''
      return `-----BEGIN PRIVATE KEY-----${newline}${body}${newline}-----END PRIVATE KEY-----${last}`
    })
  const any = fc.oneof(file, pem).filter((text) => !text.includes('\0') && text.isWellFormed())
  await fc.assert(
    fc.asyncProperty(any, any, any, async (text, password, multiline) => {
      const values = { text, password, multiline }
      const made = await create(type, values)
      assert.equal(made.status, 201, made.text)
      assert.deepEqual(await reveal(ann, made.json.id), values)
      const body = { password, [`k${text}`.slice(0, 60).toWellFormed()]: [text, { multiline }] }
      const other = await lightning('raw', body)
      assert.deepEqual(other.json.credential.body, body)
      assert.deepEqual(await reveal(ann, other.json.credential.id), { body })
    }),
    { numRuns: 100 }
  )
  t.pass('100 credentials')
})
