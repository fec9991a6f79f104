import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import {
  addMember,
  newCredential,
  newCredentialBody,
  newProject,
  newType,
  reveal,
  uniqueName
} from '../../helpers/fixtures.ts'

const UNKNOWN = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'
const path = '/api/v1/app-credentials'

t.test('credentials are created', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser({ name: 'Ann' })
  const type = await newType(ann)
  const project = await newProject(ann)

  t.test('with their values sealed and their projects linked', async (t) => {
    const body = newCredentialBody(type, {
      description: 'For reports',
      projectIds: [project],
      expiresAt: '2030-01-01T00:00:00.000Z'
    })
    const made = await ann.post(path, body)
    t.equal(made.status, 201)
    t.equal(made.headers.get('location'), `${path}/${made.json.id}`)
    t.equal(made.headers.get('etag'), '"1"')
    t.match(made.json, {
      credentialName: body.credentialName,
      credentialTypeId: type.id,
      description: 'For reports',
      ownerId: ann.person.id,
      environments: ['main'],
      projects: [{ id: project }],
      usageCount: 0,
      revision: 1,
      expiresAt: '2030-01-01T00:00:00.000Z'
    })
    t.same(made.json.keys, [
      {
        fieldId: type.field.host,
        fieldName: 'host',
        secret: false,
        hasValue: true,
        keyValue: 'mail.example.org'
      },
      { fieldId: type.field.password, fieldName: 'password', secret: true, hasValue: true },
      { fieldId: type.field.note, fieldName: 'note', secret: true, hasValue: false }
    ])
    const got = await ann.get(`${path}/${made.json.id}`)
    t.same(got.json, made.json, 'a read returns the same as the create')
    t.same(await reveal(ann, made.json.id), { host: 'mail.example.org', password: 'hunter2 hunter2' })
  })

  t.test('with values of every field type, which reveal returns unchanged', async (t) => {
    const all = await newType(ann, [
      { fieldName: 'text', fieldLabel: 'x', fieldType: 'text' },
      { fieldName: 'password', fieldLabel: 'x', fieldType: 'password' },
      { fieldName: 'multiline', fieldLabel: 'x', fieldType: 'multiline' },
      { fieldName: 'number', fieldLabel: 'x', fieldType: 'number' },
      { fieldName: 'boolean', fieldLabel: 'x', fieldType: 'boolean' },
      { fieldName: 'url', fieldLabel: 'x', fieldType: 'url' },
      { fieldName: 'email', fieldLabel: 'x', fieldType: 'email' },
      { fieldName: 'select', fieldLabel: 'x', fieldType: 'select', options: ['a', 'b'] },
      { fieldName: 'json', fieldLabel: 'x', fieldType: 'json' },
      { fieldName: 'port', fieldLabel: 'x', fieldType: 'number', defaultValue: 587 }
    ])
    const values: Record<string, unknown> = {
      text: ' leading and trailing ',
      password: 'pässwörd 🔑 "quoted" \\ \u0007',
      multiline: 'a\r\nb\tc\n',
      number: -1.5e-7,
      boolean: false,
      url: 'https://example.org/a?b=c',
      email: 'ann@example.org',
      select: 'b',
      json: { deep: [1, { x: null }, 'y'], '': 0 }
    }
    const keys = Object.entries(values).map(([name, keyValue]) => ({ fieldId: all.field[name], keyValue }))
    const made = await newCredential(ann, all, { keys })
    t.same(await reveal(ann, made.id), { ...values, port: 587 }, 'an omitted value gets its default')
  })

  t.test('or refused without writing anything, if the input is invalid', async (t) => {
    const before = await service.db.selectFrom('credentials').select('id').execute()
    const good = newCredentialBody(type)
    const { host, password } = type.field
    const canary = 'CANARY-7f3a'
    const cases: [name: string, body: object, path: string, code: string][] = [
      ['no name', { ...good, credentialName: undefined }, '/body/credentialName', 'required'],
      ['an empty name', { ...good, credentialName: '' }, '/body/credentialName', 'too-short'],
      ['a blank name', { ...good, credentialName: '  ' }, '/body/credentialName', 'wrong-form'],
      [
        'a name with a control character',
        { ...good, credentialName: 'a\nb' },
        '/body/credentialName',
        'wrong-form'
      ],
      ['a long name', { ...good, credentialName: 'a'.repeat(201) }, '/body/credentialName', 'too-long'],
      ['a name that is a number', { ...good, credentialName: 5 }, '/body/credentialName', 'wrong-type'],
      ['a long description', { ...good, description: 'a'.repeat(2001) }, '/body/description', 'too-long'],
      ['no type', { ...good, credentialTypeId: undefined }, '/body/credentialTypeId', 'required'],
      [
        'a malformed type',
        { ...good, credentialTypeId: `urn:uuid:${UNKNOWN}` },
        '/body/credentialTypeId',
        ''
      ],
      ['an unknown type', { ...good, credentialTypeId: UNKNOWN }, '/body/credentialTypeId', 'unknown-type'],
      ['no keys', { ...good, keys: undefined }, '/body/keys', 'required'],
      ['keys that are no list', { ...good, keys: { [String(host)]: canary } }, '/body/keys', 'wrong-type'],
      ['a key without value', { ...good, keys: [{ fieldId: host }] }, '/body/keys/0/keyValue', 'required'],
      ['a key without field', { ...good, keys: [{ keyValue: canary }] }, '/body/keys/0/fieldId', 'required'],
      [
        'a key with more',
        { ...good, keys: [{ fieldId: host, keyValue: canary, x: canary }] },
        '/body/keys/0',
        'unknown-property'
      ],
      [
        'an unknown field',
        { ...good, keys: [{ fieldId: UNKNOWN, keyValue: canary }] },
        '/body/keys/0/fieldId',
        'unknown-field'
      ],
      [
        'a field twice',
        { ...good, keys: [...good.keys, { fieldId: String(host).toUpperCase(), keyValue: canary }] },
        '/body/keys/2/fieldId',
        'repeated'
      ],
      [
        'no value for a required field',
        { ...good, keys: [{ fieldId: host, keyValue: canary }] },
        '/body/keys',
        'required'
      ],
      [
        'null for a required field',
        {
          ...good,
          keys: [
            { fieldId: host, keyValue: canary },
            { fieldId: password, keyValue: null }
          ]
        },
        '/body/keys',
        'required'
      ],
      [
        'nothing for a required secret',
        {
          ...good,
          keys: [
            { fieldId: host, keyValue: canary },
            { fieldId: password, keyValue: '' }
          ]
        },
        '/body/keys',
        'required'
      ],
      [
        'nothing for a required field',
        {
          ...good,
          keys: [
            { fieldId: host, keyValue: '' },
            { fieldId: password, keyValue: canary }
          ]
        },
        '/body/keys',
        'required'
      ],
      [
        'a value of another type',
        { ...good, keys: [{ fieldId: host, keyValue: 5 }] },
        '/body/keys/0/keyValue',
        ''
      ],
      [
        'a value over 64 KiB',
        { ...good, keys: [{ fieldId: host, keyValue: canary + 'a'.repeat(65_536) }] },
        '/body/keys/0/keyValue',
        'too-large'
      ],
      [
        '65 keys',
        { ...good, keys: new Array(65).fill({ fieldId: host, keyValue: canary }) },
        '/body/keys',
        'too-many'
      ],
      ['a project twice', { ...good, projectIds: [project, project] }, '/body/projectIds', 'repeated'],
      [
        'a project twice in other letters',
        { ...good, projectIds: [project, project.toUpperCase()] },
        '/body/projectIds',
        'repeated'
      ],
      ['a malformed project', { ...good, projectIds: ['x'] }, '/body/projectIds/0', 'wrong-form'],
      ['101 projects', { ...good, projectIds: new Array(101).fill(project) }, '/body/projectIds', 'too-many'],
      ['an invalid time', { ...good, expiresAt: 'tomorrow' }, '/body/expiresAt', 'wrong-format'],
      [
        'a time before 1970',
        { ...good, expiresAt: '1969-12-31T23:59:59Z' },
        '/body/expiresAt',
        'out-of-range'
      ],
      ['an owner', { ...good, ownerId: UNKNOWN }, '/body', 'unknown-property'],
      ['an id', { ...good, id: UNKNOWN }, '/body', 'unknown-property']
    ]
    for (const [name, body, where, code] of cases) {
      const answer = await ann.post(path, body)
      t.equal(answer.status, 400, name)
      t.match(answer.json, { code: 'validation-failed', errors: [{ path: where }] }, name)
      if (code) t.equal(answer.json.errors[0].code, code, name)
      t.notMatch(answer.text, canary, `${name}: input is not echoed`)
    }
    const after = await service.db.selectFrom('credentials').select('id').execute()
    t.equal(after.length, before.length, 'nothing was written')
    t.notMatch(service.log.join(''), canary, 'input is not logged')
  })

  t.test('only if the owner may link them to every project', async (t) => {
    const bob = await service.newUser()
    const [editable, readable, foreign] = [
      await newProject(bob),
      await newProject(bob),
      await newProject(bob)
    ]
    await addMember(bob, editable, ann, 'editor')
    await addMember(bob, readable, ann, 'viewer')
    const cases: [string, string[], number][] = [
      ['as an editor', [project, editable], 201],
      ['as a viewer', [project, readable], 403],
      ['as no member', [project, foreign], 403],
      ['a project that is not there', [project, UNKNOWN], 404]
    ]
    for (const [name, projectIds, status] of cases) {
      const body = newCredentialBody(type, { projectIds })
      t.equal((await ann.post(path, body)).status, status, name)
      const list = await ann.get(`${path}?search=${encodeURIComponent(body.credentialName)}`)
      t.equal(list.json.total, status === 201 ? 1 : 0, `${name}: all or nothing`)
    }
  })

  t.test('with names that are unique for their owner, ignoring case', async (t) => {
    const name = uniqueName('Ünique')
    await newCredential(ann, type, { credentialName: name })
    const again = await ann.post(path, newCredentialBody(type, { credentialName: name.toUpperCase() }))
    t.equal(again.status, 409)
    t.equal(again.json.code, 'name-taken')
    const bob = await service.newUser()
    await newCredential(bob, type, { credentialName: name })

    const twin = uniqueName('twin')
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => ann.post(path, newCredentialBody(type, { credentialName: twin })))
    )
    const statuses = answers.map((answer) => answer.status).sort()
    t.same(statuses, [201, ...new Array(19).fill(409)], 'one of twenty concurrent requests succeeds')
  })

  t.test('once for an Idempotency-Key', async (t) => {
    const headers = { 'idempotency-key': 'key-1' }
    const body = newCredentialBody(type)
    const [first, twin] = await Promise.all([
      ann.post(path, body, { headers }),
      ann.post(path, body, { headers })
    ])
    t.same([first.status, twin.status], [201, 201], 'two concurrent requests')
    t.same(first.json, twin.json)
    const replayed = [first, twin].map((answer) => answer.headers.get('idempotency-replayed')).sort()
    t.same(replayed, ['true', null].sort())
    const again = await ann.post(path, body, { headers })
    t.same(again.json, first.json)
    t.equal(again.headers.get('location'), first.headers.get('location'))
    t.equal(again.headers.get('etag'), first.headers.get('etag'))
    const other = await ann.post(path, { ...body, description: 'other' }, { headers })
    t.equal(other.status, 422)
    t.equal(other.json.code, 'idempotency-key-reused')
    const bob = await service.newUser()
    t.equal((await bob.post(path, body, { headers })).status, 201, 'keys of other callers are separate')

    const refused = await ann.post(path, body, { headers: { 'idempotency-key': 'key-2' } })
    t.equal(refused.status, 409, 'a refusal is not stored')
    const kept = await service.db.selectFrom('idempotency_keys').select(['key', 'answer']).execute()
    t.notOk(kept.some((row) => row.key === 'key-2'))
    t.notOk(
      kept.some((row) => row.answer?.includes('mail.example.org')),
      'the stored response is encrypted'
    )
    t.equal((await ann.post(path, body, { headers: { 'idempotency-key': 'a b' } })).status, 400)
  })
})
