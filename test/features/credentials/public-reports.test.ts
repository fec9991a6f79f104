import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Answer } from '../../helpers/client.ts'
import { newProject, newType, reveal, uniqueName } from '../../helpers/fixtures.ts'
import { newToken } from '../../helpers/tokens.ts'

// Inputs that users of other credential stores have reported as changed, lost or refused, sent to both APIs.
// Accepted inputs must be returned byte for byte, and others refused with a message.

const V1 = '/api/v1/app-credentials'
const LIGHTNING = '/api/credentials'

const PEM = '-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqhkiG9w0B\nAQEFAASC==\n-----END PRIVATE KEY-----'
const BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
const KEY_FILE = `{"type":"service_account","private_key":${JSON.stringify(`${PEM}\n`)},"client_id":"1"}`

type Kind = 'text' | 'json' | 'number' | 'boolean' | 'url' | 'email'

/** A description of the input, the kind of field, and the JSON that is sent. */
type Row = readonly [what: string, kind: Kind, json: string]
const row = (what: string, kind: Kind, value: unknown): Row => [what, kind, JSON.stringify(value)]

const INPUTS: readonly Row[] = [
  // White space, which forms may trim
  row('a trailing newline', 'text', 'secret\n'),
  row('surrounding newlines', 'text', '\n\nsecret\n\n'),
  row('surrounding spaces', 'text', '  secret  '),
  row('a tab, a no-break space and a line separator at the end', 'text', 'secret\t\u00a0\u2028'),
  row('white space alone', 'text', ' \t\r\n '),

  // Files
  row('Windows line endings', 'text', 'one\r\ntwo\r\n'),
  row('old Mac line endings, mixed with others', 'text', 'one\rtwo\nthree\r\n'),
  row('a byte order mark', 'text', '\ufeffsecret'),
  row('a private key', 'text', PEM),
  row('a private key with a newline at its end', 'text', `${PEM}\n`),
  row('a private key with newlines written as \\n', 'text', PEM.replaceAll('\n', '\\n')),
  row('a private key on one line', 'text', PEM.replaceAll('\n', ' ')),
  row('a private key with indented lines', 'text', PEM.replaceAll('\n', '\n    ')),
  row('a file in base64', 'text', BYTES.toString('base64')),
  row('base64 with a newline after each 64 characters', 'text', `${'QUJD'.repeat(16)}\nQQ==\n`),
  row('base64url without padding', 'text', BYTES.toString('base64url')),
  row('a file of every byte but NUL, read as Latin-1', 'text', BYTES.subarray(1).toString('latin1')),
  row('a file of JSON, as text', 'text', `${JSON.stringify(JSON.parse(KEY_FILE), null, 2)}\n`),
  row('a file of JSON for a JSON field, as text', 'json', KEY_FILE),
  ['a file of JSON, as JSON', 'json', KEY_FILE],
  row('a file of settings with comments', 'text', '# a\nKEY="va#lue" # b\nexport OTHER=\'x\'\n'),
  row('a file of YAML', 'text', 'a: |-\n  b\n---\n- !!binary |\n  AA==\n- &x *y\n'),

  // Characters with a meaning in templates, shells, URLs, HTML or queries
  row('dollars before names', 'text', `a$b$$c\${d}$(e)$1$&`),
  row('a reference to another secret', 'text', `\${dev.OTHER_SECRET} $var:u/ann/token $res:f/db`),
  row('braces of templates', 'text', '{{ other }} {{{x}}} {% raw %} <%= y %> #{z} %{w} @{v}'),
  row('an equals sign first, as an expression has', 'text', '={{ $json.token }}'),
  row('an at sign first, as the name of a file has', 'text', '@/etc/passwd'),
  row('a dash alone, as standard input has', 'text', '-'),
  row('a hash', 'text', 'before#after #end'),
  row('backslashes and quotes', 'text', '\\ \\\\ \\n \\u0041 " \' ` \\"'),
  row('a placeholder for a value that is hidden', 'text', '__BLANK_VALUE_e5362baf-c777-4d57-a609__'),
  row('asterisks, as a masked value has', 'text', '********'),
  row('pipes', 'text', '12|abcdef|ghi'),
  row('characters of HTML', 'text', '<b>&amp;</b> &#60; \u003c\u003e\u0026'),
  row('percent encoding, which is not decoded', 'text', '%40%2F%25%zz%+'),
  row('plus signs', 'text', 'a+b=c&d+e'),
  row('a comma, a semicolon and a colon', 'text', 'user:pa,ss;word:'),
  row('a statement of SQL', 'text', "'; drop table credentials; --"),

  // Strings that look like another type
  row('leading zeros', 'text', '007'),
  row('an octal number of YAML', 'text', '0o17'),
  row('a number with an exponent, as hashes have', 'text', '12345e67890'),
  row('a large number, as text', 'text', '9007199254740993'),
  row('a fraction with zeros at its end, as text', 'text', '1.10'),
  ...['true', 'False', 'yes', 'NO', 'on', 'null', '~', 'NaN', 'n/a', 'undefined', '[]', '{}', '1_000'].map(
    (word) => row(`the word ${word}`, 'text', word)
  ),
  row('a day', 'text', '2001-01-01'),
  row('a time in base 60', 'text', '12:30:45'),

  // Unicode
  row('letters with accents in two forms', 'text', '\u00e9 e\u0301 \ufb01 \u212b \u00c5'),
  row('other scripts, emoji and joiners', 'text', 'пароль 密码 كلمة السر 🔑 👩\u200d💻 क\u094d\u200dष'),
  row('invisible characters and a change of direction', 'text', 'a\u200bb\u00adc\u202ed\ufffd\ufffe'),
  row('control characters', 'text', '\u0001\u0007\u001b[31m\u007f\u0085'),

  // Lengths
  row('one character', 'text', '0'),
  row('65,000 characters', 'text', 'k'.repeat(65_000)),
  row('a key of a new form, longer than the old', 'text', `new_${'4f3c12ef'.repeat(5)}`),

  // Connection strings
  row('a password in a URL with characters that are invalid in URLs', 'text', 'postgres://u:p#s@s/w%d@h/db'),
  row('several hosts', 'text', 'mongodb://u:p%40ss@a:27017,b:27018/db?replicaSet=r&w=majority'),
  row('a JDBC URL', 'text', 'jdbc:sqlserver://h\\SQL:1433;databaseName=d;password={a;b}'),
  row('a path of Windows', 'text', 'C:\\new\\table\\'),

  // URLs
  row('a URL with a slash at its end', 'url', 'https://example.org/'),
  row('a URL without a slash at its end', 'url', 'https://example.org'),
  row('a URL with its own port, and the default one', 'url', 'https://example.org:443/a'),
  row('a URL with capitals', 'url', 'HTTPS://Example.ORG/Path'),
  row('a URL with percent encoding', 'url', 'https://example.org/a%2Fb%20c/%7Ed?e=%26&f=g+h#%23'),
  row('a URL with dots and empty segments', 'url', 'https://example.org/a/../b/./c//d'),
  row('a URL of an international name', 'url', 'https://bücher.example/straße?q=ü'),
  row('a URL of an address', 'url', 'http://[2001:db8::1]:8080/'),
  row('a URL of a host without dots and with an underscore', 'url', 'http://my_service:3000'),
  row('a URL with braces of a template', 'url', `https://{{tenant}}.example.org/\${version}/x`),
  row('a URL of a host with many dots', 'url', 'https://eu-api.content.example.co.uk'),

  // E-mail addresses
  row('an e-mail address with a plus sign', 'email', 'ann+tag@example.org'),
  row('an e-mail address with capitals', 'email', "Ann.O'Neil@Example.ORG"),
  row('an e-mail address of a host without dots', 'email', 'root@localhost'),
  row('an e-mail address in other scripts', 'email', 'jürgen@bücher.example'),

  // Numbers and booleans
  ['an id of 64 bits', 'number', '9223372036854775807'],
  ['an id that a double cannot represent', 'number', '9007199254740993'],
  ['a time in milliseconds', 'number', '1754110382000'],
  ['a million', 'number', '1000000'],
  ['a number with an exponent', 'number', '1e6'],
  ['a number with zeros at its end', 'number', '1.10'],
  ['zero', 'number', '0'],
  ['minus zero', 'number', '-0'],
  ['false', 'boolean', 'false'],
  ['true', 'boolean', 'true'],

  // JSON
  ['ids of 64 bits', 'json', '{"appId":123456,"installationId":12345678901234567890,"list":[1.0,1e3]}'],
  ['null, zero, false and the empty text in an object', 'json', '{"a":null,"b":0,"c":false,"d":"","e":[]}'],
  ['an empty name', 'json', '{"":"secret"}'],
  ['names that differ by case, form and space', 'json', '{"key":1,"KEY":2,"key ":3,"é":4,"e\u0301":5}'],
  ['names with dots, slashes and brackets', 'json', '{"a.b":1,"/a/b":2,"a[0].b":3,".htpasswd":4,"-":5}'],
  ['names in no order', 'json', '{"z":1,"a":2,"m":3}'],
  [
    'names of properties that JavaScript has',
    'json',
    '{"constructor":1,"toString":2,"rawJSON":"1","length":3}'
  ],
  ['a text of JSON in JSON', 'json', '"{\\"a\\":\\"b\\\\n\\"}"'],
  ['a list', 'json', '["a",1,null,{"b":[]}]'],
  ['an empty object', 'json', '{}'],
  ['an empty text', 'json', '""']
]

const NAMES: readonly (readonly [what: string, sent: string, kept?: string])[] = [
  ['spaces around a name', '  Mail server  ', 'Mail server'],
  ['a newline after a name', 'Mail server 2\n', 'Mail server 2'],
  ['a name that is not in NFC', 'Cafe\u0301', 'Caf\u00e9'],
  ['capitals', 'APP__service__SECRET'],
  ['small letters', 'ingress.hosts.0'],
  ['slashes', '/myapp/prod/db/password'],
  ['a dot at either end', '.htpasswd.'],
  ['an e-mail address', 'jane+x@example.org'],
  ['percent encoding', 'a%2Fb%20c%zz'],
  ['a hyphen first', '-v'],
  ['a comma, a colon, an ampersand, a question mark and a hash', 'a, b: c & d? e#f=g'],
  ['quotes and backslashes', `"a" 'b' \\c\\`],
  ['other scripts', 'пароль 密码 कुंजी'],
  ['emoji', '🔑 👩\u200d💻'],
  ['digits', '00123'],
  ['a word with a meaning in YAML', 'null']
]

/** The fields to which inputs of each kind are sent. */
const FIELDS: Record<Kind, Record<string, object>> = {
  text: {
    shownText: { fieldType: 'text', secret: false },
    text: { fieldType: 'text', secret: true },
    password: { fieldType: 'password' },
    shownLines: { fieldType: 'multiline', secret: false },
    lines: { fieldType: 'multiline', secret: true },
    textAsJson: { fieldType: 'json' }
  },
  json: { shownJson: { fieldType: 'json', secret: false }, json: { fieldType: 'json' } },
  number: { shownNumber: { fieldType: 'number' }, number: { fieldType: 'number', secret: true } },
  boolean: { shownBoolean: { fieldType: 'boolean' }, boolean: { fieldType: 'boolean', secret: true } },
  url: { shownUrl: { fieldType: 'url' }, url: { fieldType: 'url', secret: true } },
  email: { shownEmail: { fieldType: 'email' }, email: { fieldType: 'email', secret: true } }
}

const service = await startTestApp(t)
const ann = await service.newUser()
const projectId = await newProject(ann)
const machine = await newToken(ann, ['credentials:resolve'], { projectId })
const type = await newType(
  ann,
  Object.values(FIELDS).flatMap((fields) =>
    Object.entries(fields).map(([fieldName, more]) => ({
      fieldName,
      fieldLabel: fieldName,
      required: false,
      ...more
    }))
  )
)
const { typeName } = (await ann.get(`/api/v1/credential-types/${type.id}`)).json

const headers = { 'content-type': 'application/json' }
const post = (path: string, raw: string, more: Record<string, string> = {}) =>
  ann.post(path, undefined, { raw, headers: { ...headers, ...more } })
const put = (path: string, raw: string) => ann.put(path, undefined, { raw, headers })
const resolve = (wanted: { id: string } | { name: string }, environment = 'main') =>
  machine.post(`/api/v1/projects/${projectId}/resolve`, { credentials: [wanted], environment })

/** Builds the JSON of a request that has `json` literally as each value. */
const v1Body = (name: string, names: readonly string[], json: string) =>
  `{"credentialName":${JSON.stringify(name)},"credentialTypeId":"${type.id}","projectIds":["${projectId}"],` +
  `${v1Keys(names, json)}}`
const v1Keys = (names: readonly string[], json: string) =>
  `"keys":[${names.map((name) => `{"fieldId":"${type.field[name]}","keyValue":${json}}`)}]`
const lightningBody = (name: string, schema: string, bodies: string) =>
  `{"name":${JSON.stringify(name)},"schema":"${schema}",${bodies},` +
  `"project_credentials":[{"project_id":"${projectId}"}]}`
/** Builds the members of an object that all have the value `json`. */
const membersOf = (names: readonly string[], json: string) => names.map((name) => `"${name}":${json}`).join()

/** Asserts that the response is a success and contains the text exactly `times` times. */
function has(t: Test, { status, text }: Answer, expected: string, what: string, times = 1) {
  const found = text.split(expected).length - 1
  t.same(
    [status === 200 || status === 201, found],
    [true, times],
    `${what}: ${status} ${status < 300 ? '' : text}`
  )
}

t.test('inputs are returned byte for byte', async (t) => {
  for (const [what, kind, json] of INPUTS) {
    const names = Object.keys(FIELDS[kind])
    const shown = names.filter((name) => name.startsWith('shown')).length
    const values = `"values":{${membersOf(names, json)}}`
    const isShown = (t: Test, answer: Answer, what: string) =>
      has(t, answer, `"keyValue":${json}}`, what, shown)
    const isRevealed = (t: Test, answer: Answer, what: string) => {
      for (const name of names) has(t, answer, `"fieldName":"${name}","keyValue":${json}}`, what)
    }

    await t.test(`${what}, by v1`, async (t) => {
      const made = await post(V1, v1Body(uniqueName('v1'), names, json))
      isShown(t, made, 'create')
      const { id } = made.json
      const path = `${V1}/${id}`
      isShown(t, await ann.get(path), 'get')
      isRevealed(t, await ann.post(`${path}/reveal`, {}), 'reveal')
      has(t, await resolve({ id }), values, 'resolve')
      await put(path, `{${v1Keys(names, 'null')}}`)
      has(t, await resolve({ id }), '"values":{}', 'resolve without values')
      isShown(t, await put(path, `{${v1Keys(names, json)}}`), 'update')
      isRevealed(t, await ann.post(`${path}/reveal`, {}), 'reveal after the update')
      has(t, await resolve({ id }), values, 'resolve after the update')
      t.equal((await put(path, '{"description":"Changed"}')).status, 200)
      has(t, await resolve({ id }), values, 'resolve after an update of another property')
      t.equal((await put(`${path}/environments/staging`, `{${v1Keys(names, json)}}`)).status, 200)
      has(t, await resolve({ id }, 'staging'), values, 'resolve of another environment')
    })

    await t.test(`${what}, by Lightning's API`, async (t) => {
      for (const [schema, members, revealed] of [
        [typeName, membersOf(names, json), undefined],
        ['raw', `"value":${json}`, `"fieldName":"body","keyValue":{"value":${json}}}`],
        ['redis', `"value":${json},"host":"h"`, `"fieldName":"extra","keyValue":{"value":${json}}}`]
      ] as const) {
        const bodies = `"body":{${members}},"credential_bodies":[{"name":"staging","body":{${members}}}]`
        const made = await post(LIGHTNING, lightningBody(uniqueName('lightning'), schema, bodies))
        has(t, made, `"body":{${members}}`, `create of ${schema}`)
        const { id } = made.json.credential
        const answer = await ann.post(`${V1}/${id}/reveal`, {})
        if (revealed) has(t, answer, revealed, `reveal of ${schema}`)
        else isRevealed(t, answer, `reveal of ${schema}`)
        for (const environment of ['main', 'staging'])
          has(t, await resolve({ id }, environment), `{${members}}`, `resolve of ${environment}, ${schema}`)
      }
    })
  }
})

t.test('a name is stored in NFC without surrounding spaces, and found as it was sent', async (t) => {
  for (const [what, sent, kept = sent] of NAMES) {
    const made = await post(V1, v1Body(sent, ['password'], '"first"'))
    t.match(made, { status: 201, json: { credentialName: kept } }, what)
    const { id } = made.json
    t.match(await resolve({ name: sent }), { json: { results: [{ id, credentialName: kept }] } }, what)
    t.match((await ann.get(`${V1}?search=${encodeURIComponent(kept)}`)).json.data, [{ id }], what)
    for (const twin of [sent.toUpperCase(), sent.toLowerCase(), ` ${sent}`, sent.normalize('NFD')]) {
      const again = await post(V1, v1Body(twin, ['password'], '"second"'))
      t.match(again, { status: 409, json: { code: String } }, `${what}: ${twin} is the same name`)
      const there = await post(LIGHTNING, lightningBody(twin, 'raw', '"body":{}'))
      t.match(there, { status: 422, json: { errors: { name: [String] } } }, `${what}, by Lightning`)
    }
    has(t, await resolve({ id }), '"values":{"password":"first"}', `${what}: the first has its value`)
    const raw = await post(LIGHTNING, lightningBody(`${sent.trim()}2`, 'raw', '"body":{}'))
    t.equal(raw.json.credential?.name, `${kept}2`, `${what}, by Lightning`)
  }
})

t.test('field names are case-sensitive, and unknown names are refused', async (t) => {
  const words = ['key', 'KEY', 'Key', 'toString', 'constructor', 'extra', 'body', 'value']
  const fields = words.map((fieldName) => ({ fieldName, fieldLabel: fieldName, fieldType: 'password' }))
  const { field, id: typeId } = await newType(ann, fields)
  const keys = words.map((word) => ({ fieldId: field[word], keyValue: `of ${word}` }))
  const made = await ann.post(V1, { credentialName: uniqueName('words'), credentialTypeId: typeId, keys })
  const values = Object.fromEntries(words.map((word) => [word, `of ${word}`]))
  t.same(await reveal(ann, made.json.id), values)
  const schema = (await ann.get(`/api/v1/credential-types/${typeId}`)).json.typeName
  const lightning = await ann.post(LIGHTNING, { name: uniqueName('words'), schema, body: values })
  t.same(lightning.json.credential.body, values)
  const other = { name: uniqueName('words'), schema, body: { ...values, ' key': 'x' } }
  t.match(await ann.post(LIGHTNING, other), { status: 422, json: { errors: { body: [/not a field/] } } })
})

t.test('invalid input is refused with a message, and changes nothing', async (t) => {
  const { json: made } = await post(V1, v1Body(uniqueName('kept'), ['password', 'json'], '"before"'))
  const refused: readonly [what: string, field: string, json: string, code: string][] = [
    ['a NUL character', 'password', '"a\\u0000b"', 'nul-character'],
    ['a NUL character within JSON', 'json', '{"a\\u0000":1}', 'nul-character'],
    ['half of a surrogate pair', 'password', '"\\ud83d"', 'lone-surrogate'],
    ['one byte too many', 'password', `"${'k'.repeat(65_537)}"`, 'too-large'],
    ['a number for a text', 'password', '12345', 'wrong-type'],
    ['a boolean for a text', 'password', 'false', 'wrong-type'],
    ['an object for a text', 'password', '{"a":1}', 'wrong-type'],
    ['a text for a number', 'number', '"5432"', 'wrong-type'],
    ['a text for a boolean', 'boolean', '"false"', 'wrong-type'],
    ['a number for a boolean', 'boolean', '0', 'wrong-type'],
    ['a URL with a space after it', 'url', '"https://example.org "', 'wrong-format'],
    ['a URL with a newline after it', 'url', '"https://example.org\\n"', 'wrong-format'],
    ['a URL without a scheme', 'url', '"example.org/a"', 'wrong-format'],
    ['a password in a URL that is shown', 'shownUrl', '"https://u:p%40@example.org"', 'user-information'],
    ['a space before an e-mail address', 'email', '" ann@example.org"', 'wrong-format'],
    ['two e-mail addresses', 'email', '"ann@example.org, bob@example.org"', 'wrong-format'],
    ['a name that sets a prototype', 'json', '{"__proto__":{"a":1}}', 'forbidden-key']
  ]
  for (const [what, name, json, code] of refused) {
    const errors = { status: 400, json: { errors: [{ code, message: /^[A-Z].*\.$/ }] } }
    t.match(await post(V1, v1Body(uniqueName('refused'), [name], json)), errors, what)
    t.match(await put(`${V1}/${made.id}`, `{${v1Keys([name], json)}}`), errors, `${what}, in an update`)
  }
  for (const json of ['"a\\u0000b"', '"\\ud83d"', '{"__proto__":1}', `"${'k'.repeat(65_537)}"`]) {
    for (const schema of [typeName, 'raw', 'redis']) {
      const members = schema === 'redis' ? `"host":"h","value":${json}` : `"json":${json}`
      const answer = await post(LIGHTNING, lightningBody(uniqueName('r'), schema, `"body":{${members}}`))
      const errors = { status: 422, json: { errors: { body: [String] } } }
      t.match(answer, errors, `${json.slice(0, 20)}, by Lightning's API`)
    }
  }
  for (const [what, body] of [
    ['a name twice', '{"a":1,"a":2}'],
    ['a name twice, once escaped', '{"a":1,"\\u0061":2}'],
    ['a comma too many', '{"a":1,}'],
    ['a number with a zero before it', '{"a":007}']
  ] as const) {
    t.equal((await put(`${V1}/${made.id}`, `{${v1Keys(['json'], body)}}`)).status, 400, what)
    t.equal(
      (await post(LIGHTNING, lightningBody(uniqueName('r'), 'raw', `"body":${body}`))).status,
      400,
      what
    )
  }
  t.same(await reveal(ann, made.id), { password: 'before', json: 'before' })
})

t.test('the Lightning API casts strings for numbers and booleans only in their exact form', async (t) => {
  const create = (body: string) =>
    post(LIGHTNING, lightningBody(uniqueName('cast'), typeName, `"body":{${body}}`))
  for (const [sent, kept] of [
    ['"number":"9007199254740993"', '"number":9007199254740993'],
    ['"number":"1.10"', '"number":1.10'],
    ['"number":"-0"', '"number":-0'],
    ['"boolean":"false"', '"boolean":false'],
    ['"boolean":"0"', '"boolean":false'],
    ['"boolean":"1"', '"boolean":true']
  ] as const) {
    const made = await create(sent)
    has(t, made, `"body":{${kept}}`, sent)
    has(t, await resolve({ id: made.json.credential.id }), `"values":{${kept}}`, sent)
  }
  for (const text of ['007', ' 5', '5 ', '0x50', '1,5', '1_000', '+5', '.5', '5.', 'NaN', 'Infinity', '५'])
    t.match(await create(`"number":${JSON.stringify(text)}`), {
      status: 422,
      json: { errors: { body: [/number/] } }
    })
  for (const text of ['yes', 'no', 'on', 'True', 'FALSE', ' true', 't', '2'])
    t.match(await create(`"boolean":${JSON.stringify(text)}`), {
      status: 422,
      json: { errors: { body: [/true or false/] } }
    })
})

t.test('absent, null and empty values are distinguished', async (t) => {
  const body = { host: 'h', password: '', port: null, username: ' ', Host: '', tls: '' }
  const lightning = await ann.post(LIGHTNING, {
    name: uniqueName('empty'),
    schema: 'redis',
    body,
    project_credentials: [{ project_id: projectId }]
  })
  t.same(lightning.json.credential.body, body)
  t.same((await resolve({ id: lightning.json.credential.id })).json.results[0].values, body)

  const names = ['password', 'shownText', 'json']
  const { id } = (await post(V1, v1Body(uniqueName('empty'), names, '""'))).json
  t.same(await reveal(ann, id), { password: '', shownText: '', json: '' })
  await put(`${V1}/${id}`, `{${v1Keys(names, '"a"')}}`)
  await put(`${V1}/${id}`, '{"keys":[]}')
  t.same(await reveal(ann, id), { password: 'a', shownText: 'a', json: 'a' }, 'absent values are kept')
  await put(`${V1}/${id}`, `{${v1Keys(names, '""')}}`)
  t.same(await reveal(ann, id), { password: 'a', shownText: '', json: 'a' }, 'an empty string keeps a secret')
  await put(`${V1}/${id}`, `{${v1Keys(names, 'null')}}`)
  t.same(await reveal(ann, id), {}, 'null removes values')
})

t.test('a retry with other white space or another Unicode form is a different request', async (t) => {
  for (const [first, second] of [
    ['secret', 'secret\n'],
    ['secret', ' secret'],
    ['a\nb', 'a\r\nb'],
    ['secret', '\ufeffsecret'],
    ['\u00e9', 'e\u0301'],
    ['1', '1.0']
  ] as const) {
    const name = uniqueName('retry')
    const key = { 'idempotency-key': randomUUID() }
    const send = (value: string) => post(V1, v1Body(name, ['password'], JSON.stringify(value)), key)
    t.equal((await send(first)).status, 201)
    t.equal((await send(second)).status, 422, JSON.stringify([first, second]))
    t.equal((await send(first)).headers.get('idempotency-replayed'), 'true')
  }
})

t.test('descriptions and consumers are unchanged, even with special characters of paths', async (t) => {
  const description = ' Line one\r\nline two {{x}} $y e\u0301\n'
  const made = await ann.post(V1, {
    credentialName: uniqueName('described'),
    credentialTypeId: type.id,
    description,
    keys: []
  })
  t.equal(made.json.description, description)
  const consumers = ['a/b', 'A/B', '//', 'ü?#%&=+', 'a%2Fb', 'ann@example.org', 'workflow:42;x=1', '{{id}}']
  for (const consumer of consumers) {
    const usage = await ann.put(`${V1}/${made.json.id}/usages/${encodeURIComponent(consumer)}`)
    t.match(usage, { status: 200, json: { consumer } })
  }
  const { json } = await ann.get(`${V1}/${made.json.id}/usages`)
  t.same(json.data.map((one: { consumer: string }) => one.consumer).sort(), [...consumers].sort())
})

t.test('defaults and options of a type are returned unchanged', async (t) => {
  const options = [' a', 'a ', 'A', 'a', '\u00e9', 'e\u0301', '01', '1', 'true', 'no', 'null']
  const texts = {
    text: ' x\r\n{{y}} $z\n',
    multiline: '\ufeffe\u0301\t',
    url: 'https://e.org/a/../b?%7E',
    json: ''
  }
  const fields = [
    { fieldName: 'select', fieldLabel: 'select', fieldType: 'select', options, secret: true },
    ...Object.entries(texts).map(([name, defaultValue]) => ({
      fieldName: name,
      fieldLabel: name,
      fieldType: name,
      secret: false,
      defaultValue
    }))
  ]
  const { id, field } = await newType(ann, fields)
  for (const option of options) {
    const made = await ann.post(V1, {
      credentialName: uniqueName('option'),
      credentialTypeId: id,
      keys: [{ fieldId: field['select'], keyValue: option }]
    })
    t.same(await reveal(ann, made.json.id), { select: option, ...texts }, JSON.stringify(option))
  }
})

t.test('times are converted to UTC and truncated to milliseconds', async (t) => {
  for (const [sent, shown] of [
    ['2099-01-01T00:00:00Z', '2099-01-01T00:00:00.000Z'],
    ['2099-01-01t00:00:00.5z', '2099-01-01T00:00:00.500Z'],
    ['2099-01-01T00:00:00+05:30', '2098-12-31T18:30:00.000Z'],
    ['2099-01-01T00:00:00.999999999-00:00', '2099-01-01T00:00:00.999Z']
  ] as const) {
    const body = { credentialName: uniqueName('time'), credentialTypeId: type.id, keys: [], expiresAt: sent }
    t.match(await ann.post(V1, body), { status: 201, json: { expiresAt: shown } }, sent)
  }
  // A date, a time without a zone, Unix times, and an empty string
  for (const expiresAt of ['2099-01-01', '2099-01-01T00:00:00', 4_070_908_800, '4070908800', '']) {
    const body = { credentialName: uniqueName('time'), credentialTypeId: type.id, keys: [], expiresAt }
    const refused = { status: 400, json: { errors: [{ path: '/body/expiresAt' }] } }
    t.match(await ann.post(V1, body), refused, String(expiresAt))
  }
})
