import type { Recorder } from '../recorder.ts'
import { idOf, NO_ID, SMTP, type World } from '../world.ts'

const path = '/api/v1/credential-types'
const text = (fieldName: string, more: object = {}) => ({
  fieldName,
  fieldLabel: fieldName,
  fieldType: 'text',
  ...more
})

/** One field of each type, with all that a field may have. */
const EVERYTHING = [
  text('aText', { secret: false, pattern: '^[a-z]+$', description: 'Lower case', defaultValue: 'abc' }),
  text('aPassword', { fieldType: 'password' }),
  text('aMultiline', { fieldType: 'multiline', required: false }),
  text('aNumber', { fieldType: 'number', defaultValue: 1.5 }),
  text('aBoolean', { fieldType: 'boolean', defaultValue: false }),
  text('aUrl', { fieldType: 'url', required: false, pattern: '^https:' }),
  text('anEmail', { fieldType: 'email', required: false }),
  text('aSelect', { fieldType: 'select', options: ['eu', 'us'], defaultValue: 'eu' }),
  text('someJson', { fieldType: 'json', required: false, secret: false, defaultValue: { deep: [1, null] } })
]

export async function types(r: Recorder, world: World): Promise<void> {
  r.area('types')
  const { ann, bob, admin } = world.people
  const { ids, tokens } = world
  const make = async (as: typeof ann, name: string, json: object) => {
    const { json: made } = await r.post(`create.${name}`, path, { as, json, name })
    ids[name] = made.id
    for (const field of made.fields) ids[`${name}.${field.fieldName}`] = field.id
  }
  await make(ann, 'everything', { typeName: 'Everything', description: 'All', fields: EVERYTHING })
  await make(tokens['ann-write']!, 'large', {
    typeName: 'Large values',
    fields: Array.from({ length: 15 }, (_, index) => text(`f${index}`, { required: index === 0 }))
  })
  await make(bob, 'changing', {
    typeName: 'Changing',
    fields: [text('one'), text('two', { required: false })]
  })
  await make(bob, 'unused', { typeName: 'Unused', description: null, fields: [text('one')] })
  const json = { typeName: 'Once', fields: [text('one')] }
  const once = { as: ann, json, headers: { 'idempotency-key': 'type' } }
  ids['once-type'] = (await r.post('create.idempotent', path, { ...once, name: 'once-type' })).json.id
  await r.post('create.replayed', path, once)
  await r.post('create.key-reused', path, { ...once, json: { ...json, typeName: 'Twice' } })
  await r.post('create.name-taken', path, { as: bob, json: { ...json, typeName: 'SMTP' } })
  await r.post('create.no-name', path, { as: ann, json: { fields: json.fields } })
  await r.post('create.long-name', path, { as: ann, json: { ...json, typeName: 'a'.repeat(201) } })
  await r.post('create.no-fields', path, { as: ann, json: { typeName: 'New' } })
  await r.post('create.built-in', path, { as: admin, json: { ...json, builtIn: true } })
  await r.post('create.by-read-token', path, { as: tokens['ann-read'], json })
  await r.post('create.by-project-token', path, { as: tokens['mail-all'], json })
  const select = { fieldType: 'select', secret: false }
  for (const [name, fields] of Object.entries({
    'empty-list': [],
    'too-many': Array.from({ length: 65 }, (_, index) => text(`f${index}`)),
    'not-a-list': {},
    'no-label': [{ fieldName: 'a', fieldType: 'text' }],
    'no-type': [{ fieldName: 'a', fieldLabel: 'a' }],
    'unknown-type': [text('a', { fieldType: 'date' })],
    'bad-name': [text('1a')],
    'long-field-name': [text('a'.repeat(65))],
    'repeated-name': [text('a'), text('b'), text('a')],
    'unknown-property': [text('a', { position: 0 })],
    'required-of-wrong-type': [text('a', { required: 'yes' })],
    'no-options': [text('a', select)],
    'empty-options': [text('a', { ...select, options: [] })],
    'repeated-options': [text('a', { ...select, options: ['x', 'x'] })],
    'options-of-text': [text('a', { options: ['x'] })],
    'bad-default': [text('a', { fieldType: 'number', defaultValue: 'one' })],
    'default-no-option': [text('a', { ...select, options: ['x'], defaultValue: 'y' })],
    'secret-default': [text('a', { defaultValue: 'x' })],
    'bad-pattern': [text('a', { pattern: '(' })],
    'look-ahead': [text('a', { pattern: '(?=a)' })],
    'empty-pattern': [text('a', { pattern: '' })],
    'large-pattern': [text('a', { pattern: 'a{1000}b{1000}c{1000}' })],
    'pattern-of-number': [text('a', { fieldType: 'number', pattern: 'a' })],
    'default-against-pattern': [text('a', { secret: false, pattern: '^a$', defaultValue: 'b' })],
    'two-flaws': [text('a', { options: ['x'] }), text('a')]
  }))
    await r.post(`fields.${name}`, path, { as: ann, json: { typeName: 'New', fields } })

  await r.get('list', `${path}?pageSize=100`, { as: bob })
  await r.get('list.page', `${path}?page=2&pageSize=3`, { as: bob })
  await r.get('list.search', `${path}?search=OAUTH`, { as: bob })
  await r.get('list.search-none', `${path}?search=%25`, { as: bob })
  await r.get('list.bad-page-size', `${path}?pageSize=1000`, { as: bob })
  await r.get('list.by-token', `${path}?pageSize=1`, { as: tokens['ann-read'] })
  await r.get('list.by-project-token', `${path}?pageSize=1`, { as: tokens['mail-read'] })
  await r.get('get', `${path}/${ids['everything']}`, { as: bob })
  await r.get('get.built-in', `${path}/${SMTP}`, { as: bob })
  await r.get('get.upper-case', `${path}/${SMTP.toUpperCase()}`, { as: bob })
  await r.get('get.unknown', `${path}/${NO_ID}`, { as: bob })
  await r.get('get.no-id', `${path}/nonsense`, { as: bob })

  const changing = `${path}/${ids['changing']}`
  const fieldsOf = async () => (await r.quietly('GET', changing, { as: bob })).json.fields as { id: string }[]
  const change = (name: string, json: object, as = bob) => r.put(`update.${name}`, changing, { as, json })
  await change('name', { typeName: 'Changed' })
  await change('description', { description: 'Now with one' })
  await change('nothing', {})
  await change('by-administrator', { description: null }, admin)
  await change('by-another', { description: 'no' }, ann)
  await change('name-taken', { typeName: 'raw' })
  await change('no-fields', { fields: [] })
  const [one, two] = await fieldsOf()
  await change('swap', { fields: [two, one] })
  await change('add', { fields: [{ id: one!.id }, text('three', { required: false }), { id: two!.id }] })
  await change('remove', { fields: [{ id: one!.id, fieldLabel: 'First' }, { id: two!.id }] })
  await change('clear', {
    fields: [
      { id: one!.id, description: 'kept' },
      { id: two!.id, pattern: 'x', secret: false }
    ]
  })
  await change('clear-again', {
    fields: [
      { id: one!.id, description: null },
      { id: two!.id, pattern: null }
    ]
  })
  await change('new-without-label', { fields: [{ fieldName: 'x' }] })
  await change('unknown-field', { fields: [{ id: NO_ID }] })
  await change('field-twice', { fields: [{ id: one!.id }, { id: one!.id }] })
  await change('unknown-property', { fields: [{ id: one!.id, nonsense: 1 }] })
  await change('flaw', { fields: [{ id: one!.id, options: ['x'] }] })
  await r.put('update.built-in', `${path}/${SMTP}`, { as: admin, json: { typeName: 'mine' } })
  await r.put('update.unknown', `${path}/${NO_ID}`, { as: bob, json: { typeName: 'x' } })
  await r.put('update.no-id', `${path}/nonsense`, { as: bob, json: { typeName: 'x' } })
  await r.patch('patch', changing, { as: bob, json: { description: 'Patched' } })

  await r.delete('delete.by-another', `${path}/${ids['unused']}`, { as: ann })
  await r.delete('delete.built-in', `${path}/${SMTP}`, { as: admin })
  await r.delete('delete.unknown', `${path}/${NO_ID}`, { as: ann })
  await r.delete('delete.no-id', `${path}/nonsense`, { as: ann })
  await r.delete('delete', `${path}/${ids['unused']}`, { as: bob })
  await r.delete('delete.again', `${path}/${ids['unused']}`, { as: bob })
  await r.delete('delete.by-administrator', `${path}/${ids['once-type']}`, { as: admin })
}

/** Changes of a type that has credentials. */
export async function typesInUse(r: Recorder, world: World): Promise<void> {
  r.area('types-in-use')
  const { bob } = world.people
  const type = `${path}/${idOf(world, 'changing')}`
  const one = idOf(world, 'changing.one')
  const two = idOf(world, 'changing.two')
  const change = (name: string, ...fields: object[]) => r.put(name, type, { as: bob, json: { fields } })
  const keys = [{ fieldId: one, keyValue: 'a value' }]
  const made = await r.post('credential', '/api/v1/app-credentials', {
    as: bob,
    json: { credentialName: 'Of a changing type', credentialTypeId: idOf(world, 'changing'), keys },
    name: 'of-changing'
  })
  await change('remove-with-value', { id: two })
  await change('retype', { id: one, fieldType: 'password' }, { id: two })
  await change('show', { id: one, secret: false }, { id: two })
  await change('require', { id: one }, { id: two, required: true })
  await change('add-required', { id: one }, { id: two }, text('three'))
  await change('narrow', { id: one, pattern: '^b' }, { id: two })
  await change('add-optional', { id: one }, { id: two }, text('three', { required: false }))
  await change('remove-without-value', { id: one })
  await r.get('get', type, { as: bob })
  await r.delete('delete', type, { as: bob })
  await r.put('new-value-against-pattern', `/api/v1/app-credentials/${made.json.id}`, {
    as: bob,
    json: { keys }
  })
  await r.post('reveal', `/api/v1/app-credentials/${made.json.id}/reveal`, { as: bob })
  await r.delete('credential.delete', `/api/v1/app-credentials/${made.json.id}`, { as: bob })
  await r.delete('delete.unused', type, { as: bob })
}
