import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import type { Answer } from '../../helpers/client.ts'
import { newProject, newType, uniqueName } from '../../helpers/fixtures.ts'
import { newToken } from '../../helpers/tokens.ts'

const service = await startTestApp(t)
const ann = await service.newUser()
const V1 = '/api/v1/app-credentials'
const field = (fieldName: string, fieldType: string, more: object = {}) => ({
  fieldName,
  fieldLabel: fieldName,
  fieldType,
  required: false,
  ...more
})
const type = await newType(ann, [
  field('shown', 'json', { secret: false }),
  field('secret', 'json'),
  field('number', 'number'),
  field('secretNumber', 'number', { secret: true }),
  field('other', 'text')
])
const projectId = await newProject(ann)
const machine = await newToken(ann, ['credentials:resolve'], { projectId })

/** Numbers that a double cannot represent, or that JavaScript formats differently, and usual ones. */
const NUMBERS = [
  ...['9007199254740993', '-9007199254740993', '18446744073709551615', '175928847299117063'],
  ...['0.1234567890123456789', '1e-400', '-1e-400', '1e400', '-1E+400', '1e5', '1E5', '2.40', '1.00', '-0'],
  ...['-0.0', '100000000000000000000000', '0.1e1', '9'.repeat(400), `0.${'0'.repeat(400)}1`, '4.9e-324'],
  ...['1.7976931348623157e308', '1.7976931348623159e308', '0', '42', '-1.5', '1e+21']
]
const NESTED = `{"a":[${NUMBERS.join(',')}],"b":{"c":{"d":9007199254740993,"e":"1.00"}},"rawJSON":"1.0"}`

/** Generates JSON without insignificant white space, with any numbers that JSON allows. */
const digits = (min: number, max: number) =>
  fc.array(fc.integer({ min: 0, max: 9 }), { minLength: min, maxLength: max }).map((all) => all.join(''))
const numberText = fc
  .tuple(
    fc.constantFrom('', '-'),
    fc.oneof(
      fc.constant('0'),
      fc.tuple(fc.integer({ min: 1, max: 9 }), digits(0, 30)).map((all) => all.join(''))
    ),
    fc.option(
      digits(1, 30).map((all) => `.${all}`),
      { nil: '' }
    ),
    fc.option(
      fc
        .tuple(fc.constantFrom('e', 'E'), fc.constantFrom('', '+', '-'), digits(1, 3))
        .map((all) => all.join('')),
      { nil: '' }
    )
  )
  .map((all) => all.join(''))
const { json: jsonText } = fc.letrec<{ json: string; leaf: string }>((tie) => ({
  leaf: fc.oneof(
    { weight: 4, arbitrary: numberText },
    fc.constantFrom('true', 'false', 'null'),
    fc
      .string({ unit: 'grapheme', maxLength: 8 })
      .filter((text) => !text.includes('\0'))
      .map((text) => JSON.stringify(text))
  ),
  json: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('leaf'),
    fc.array(tie('json'), { maxLength: 5 }).map((all) => `[${all.join(',')}]`),
    // No integer keys: JavaScript would list them first.
    fc
      .uniqueArray(fc.stringMatching(/^[a-z]{1,6}$/), { maxLength: 5 })
      .chain((keys) =>
        fc.tuple(...keys.map((key) => tie('json').map((json) => `${JSON.stringify(key)}:${json}`)))
      )
      .map((all) => `{${all.join(',')}}`)
  )
}))

const post = (path: string, raw: string, headers: Record<string, string> = {}) =>
  ann.post(path, undefined, { raw, headers: { 'content-type': 'application/json', ...headers } })
const put = (path: string, raw: string) =>
  ann.put(path, undefined, { raw, headers: { 'content-type': 'application/json' } })

const keysOf = (values: Record<string, string>) =>
  `[${Object.entries(values).map(([name, json]) => `{"fieldId":"${type.field[name]}","keyValue":${json}}`)}]`
const bodyOf = (values: Record<string, string>, name = uniqueName('numbers')) =>
  `{"credentialName":"${name}","credentialTypeId":"${type.id}","projectIds":["${projectId}"],` +
  `"keys":${keysOf(values)}}`

function has(t: Test, answer: Answer, json: string, what: string) {
  t.ok(
    [200, 201].includes(answer.status),
    `${what}: ${answer.status} ${answer.status < 300 ? '' : answer.text}`
  )
  t.ok(answer.text.includes(json), `${what} has ${json.slice(0, 60)} in ${answer.text.slice(0, 1000)}`)
}

async function resolved(id: string, environment = 'main') {
  return machine.post(`/api/v1/projects/${projectId}/resolve`, { credentials: [{ id }], environment })
}

t.test('numbers in json values are returned as they were sent', async (t) => {
  for (const json of [...NUMBERS, NESTED, `[[[${NUMBERS.join()}]]]`]) {
    const made = await post(V1, bodyOf({ shown: json, secret: json }))
    has(t, made, `"keyValue":${json}`, 'create')
    const path = `${V1}/${made.json.id}`
    has(t, await ann.get(path), `"keyValue":${json}`, 'get')
    has(t, await ann.post(`${path}/reveal`, {}), `"fieldName":"secret","keyValue":${json}`, 'reveal')
    has(t, await resolved(made.json.id), `"values":{"shown":${json},"secret":${json}}`, 'resolve')
    has(
      t,
      await put(path, `{"keys":${keysOf({ other: '"x"' })}}`),
      `"keyValue":${json}`,
      'a change of another field'
    )
    has(t, await ann.post(`${path}/reveal`, {}), `"fieldName":"secret","keyValue":${json}`, 'reveal after it')
    has(
      t,
      await put(path, `{"keys":${keysOf({ shown: '1', secret: `[${json}]` })}}`),
      '"keyValue":1}',
      'a change'
    )
    has(t, await resolved(made.json.id), `"secret":[${json}]`, 'resolve after it')
    const staging = await put(`${path}/environments/staging`, `{"keys":${keysOf({ secret: json })}}`)
    t.equal(staging.status, 200)
    has(t, await resolved(made.json.id, 'staging'), `"secret":${json}`, 'resolve of an environment')
  }
})

t.test('numbers in number fields are returned as they were sent', async (t) => {
  for (const json of NUMBERS) {
    const made = await post(V1, bodyOf({ number: json, secretNumber: json }))
    has(t, made, `"keyValue":${json}}`, 'create')
    has(t, await ann.get(`${V1}/${made.json.id}`), `"keyValue":${json}}`, 'get')
    has(t, await resolved(made.json.id), `"values":{"number":${json},"secretNumber":${json}}`, 'resolve')
  }
  for (const json of ['"1.00"', '[1.00]', '{"rawJSON":"1.00"}', 'true'])
    t.match(await post(V1, bodyOf({ number: json })), {
      status: 400,
      json: { errors: [{ code: 'wrong-type' }] }
    })
})

t.test('numbers in default values are returned as they were sent', async (t) => {
  for (const json of [...NUMBERS, NESTED]) {
    const fieldType = json === NESTED ? 'json' : 'number'
    const entry = JSON.stringify(field('value', fieldType, { secret: false, defaultValue: 0 })).replace(
      '"defaultValue":0',
      `"defaultValue":${json}`
    )
    const types = '/api/v1/credential-types'
    const made = await post(types, `{"typeName":"${uniqueName('defaults')}","fields":[${entry}]}`)
    has(t, made, `"defaultValue":${json}`, 'create')
    const path = `${types}/${made.json.id}`
    has(t, await ann.get(path), `"defaultValue":${json}`, 'get')
    const { id } = made.json.fields[0]
    has(
      t,
      await put(path, `{"fields":[{"id":"${id}","fieldLabel":"Changed"}]}`),
      `"defaultValue":${json}`,
      'kept'
    )
    has(
      t,
      await put(path, `{"fields":[{"id":"${id}","defaultValue":[${json}],"fieldType":"json"}]}`),
      `[${json}]`,
      'put'
    )
    const credential = await ann.post(V1, {
      credentialName: uniqueName('default'),
      credentialTypeId: made.json.id,
      keys: []
    })
    has(t, credential, `"keyValue":[${json}]`, 'a credential')
  }
})

t.test('numbers in Lightning bodies are returned as they were sent', async (t) => {
  for (const json of [...NUMBERS.map((number) => `{"id":${number}}`), NESTED]) {
    const body = (name: string) =>
      `{"name":"${name}","body":${json},"credential_bodies":[{"name":"staging","body":{"in":[${json}]}}],` +
      `"project_credentials":[{"project_id":"${projectId}"}]}`
    const made = await post('/api/credentials', body(uniqueName('lightning')))
    has(t, made, `"body":${json}`, 'create')
    const { id } = made.json.credential
    has(t, await ann.post(`${V1}/${id}/reveal`, {}), `"keyValue":${json}`, 'reveal')
    has(t, await resolved(id), `"values":{"body":${json}}`, 'resolve')
    has(t, await resolved(id, 'staging'), `"values":{"body":{"in":[${json}]}}`, 'resolve of staging')
  }
})

t.test('any JSON value is returned as it was sent', async (t) => {
  await fc.assert(
    fc.asyncProperty(jsonText, async (json) => {
      fc.pre(json !== 'null')
      const made = await post(V1, bodyOf({ shown: json, secret: json }))
      assert.ok(made.text.includes(`"keyValue":${json}`), made.text)
      const { text } = await resolved(made.json.id)
      assert.ok(text.includes(`"values":{"shown":${json},"secret":${json}}`), text)
    }),
    { numRuns: 150 }
  )
  t.pass('150 values')
})

t.test('a retry with equal values is the same request, in any order and spacing', async (t) => {
  const retry = async (first: string, second: string, path = V1) => {
    const key = { 'idempotency-key': randomUUID() }
    const made = await post(path, first, key)
    t.equal(made.status, 201, made.text)
    const again = await post(path, second, key)
    return { made, again }
  }
  for (const [one, other] of [
    ['{"id":9007199254740992}', '{"id":9007199254740993}'],
    ['{"id":1}', '{"id":1.0}'],
    ['{"id":1.0}', '{"id":{"rawJSON":"1.0"}}'],
    ['{"id":0}', '{"id":-0}'],
    ['{"id":1e400}', '{"id":1e401}'],
    ['{"a":1,"b":2}', '{"a":2,"b":1}'],
    ['{"a":[1,2]}', '{"a":[2,1]}']
  ] as const) {
    const name = uniqueName('retry')
    const { again } = await retry(bodyOf({ secret: one }, name), bodyOf({ secret: other }, name))
    t.match(again, { status: 422, json: { code: 'idempotency-key-reused' } }, `${one} ${other}`)
    const lightning = (body: string) => `{"name":"L ${name}","body":${body}}`
    t.equal((await retry(lightning(one), lightning(other), '/api/credentials')).again.status, 422)
  }
  for (const [one, other] of [
    [
      '{"a":9007199254740993,"b":{"d":1.0,"c":[{"y":1,"x":2}]}}',
      '{ "b":{"c":[{"x":2,"y":1}],"d":1.0},"\\u0061":9007199254740993}'
    ],
    ['{"10":1,"9":2,"é":3}', '{"\\u00e9":3,"9":2,"10":1}']
  ] as const) {
    const name = uniqueName('retry')
    const { made, again } = await retry(bodyOf({ shown: one }, name), bodyOf({ shown: other }, name))
    t.match(again, { status: 201, text: made.text }, 'the first response, byte for byte')
    t.equal(again.headers.get('idempotency-replayed'), 'true')
  }
})

t.test('numbers in other properties can be written in any form', async (t) => {
  const entry =
    '{"fieldName":"n","fieldLabel":"N","fieldType":"number","required":false,' +
    '"constraints":{"minimum":1.0,"maximum":1e2,"integer":true}}'
  const types = '/api/v1/credential-types'
  const made = await post(types, `{"typeName":"${uniqueName('n')}","fields":[${entry}]}`)
  t.match(made, {
    status: 201,
    json: { fields: [{ constraints: { minimum: 1, maximum: 100, integer: true } }] }
  })
  const { id, fields } = made.json
  const changed = await put(`${types}/${id}`, `{"fields":[{"id":"${fields[0].id}","position":1.0e1}]}`)
  t.equal(changed.status, 200, changed.text)
})
