import type { Recorder } from '../recorder.ts'
import {
  idOf,
  MAIL_KEYS,
  NO_ID,
  RAW,
  RAW_BODY,
  SENDGRID,
  SENDGRID_FIELDS,
  SMTP,
  SMTP_FIELDS,
  smtpKeys,
  type World
} from '../world.ts'

const path = '/api/v1/app-credentials'

export async function credentials(r: Recorder, world: World): Promise<void> {
  r.area('credentials')
  const { ann, cem, dora, eve, bob, admin } = world.people
  const { ids, tokens } = world
  const mail = idOf(world, 'mail')
  const weather = idOf(world, 'weather')
  const make = async (as: typeof ann, name: string, json: object) => {
    ids[name] = (await r.post(`create.${name}`, path, { as, json, name })).json.id
  }
  const smtp = (credentialName: string, more: object = {}) => ({
    credentialName,
    credentialTypeId: SMTP,
    keys: MAIL_KEYS,
    ...more
  })
  const everything = (more: Record<string, unknown>) =>
    Object.entries({ aPassword: 'staple', ...more }).map(([field, keyValue]) => ({
      fieldId: idOf(world, `everything.${field}`),
      keyValue
    }))
  await make(ann, 'mailer', smtp('Mail server', { description: 'For mail', projectIds: [mail, weather] }))
  await make(tokens['ann-write']!, 'by-token', smtp('By token', { expiresAt: '2099-01-01T00:00:00Z' }))
  await make(ann, 'outdated', smtp('Outdated', { projectIds: [mail], expiresAt: '2020-01-01T00:00:00.000Z' }))
  await make(cem, 'mailer-of-cem', smtp('mail SERVER', { projectIds: [mail] }))
  await make(eve, 'eves-own', smtp('Mail server'))
  await make(ann, 'any-json', {
    credentialName: 'Any 100% JSON_',
    credentialTypeId: RAW,
    keys: [{ fieldId: RAW_BODY, keyValue: { z: 1, a: [true, null, 1.5, 'ő'], '2': {}, '1': '' } }],
    projectIds: [mail]
  })
  await make(ann, 'of-everything', {
    credentialName: 'Everything',
    credentialTypeId: idOf(world, 'everything'),
    keys: everything({
      aText: 'xyz',
      aMultiline: 'two\nlines',
      aNumber: -0.5,
      aBoolean: true,
      aUrl: 'https://example.org/a?b',
      anEmail: 'ann@example.org',
      aSelect: 'us',
      someJson: ''
    }),
    description: null
  })
  await make(ann, 'of-defaults', {
    credentialName: 'Defaults',
    credentialTypeId: idOf(world, 'everything').toUpperCase(),
    keys: everything({ anEmail: null, aUrl: '' })
  })
  const once = { as: ann, json: smtp('Once'), headers: { 'idempotency-key': 'credential' } }
  ids['once-credential'] = (
    await r.post('create.idempotent', path, { ...once, name: 'once-credential' })
  ).json.id
  await r.post('create.replayed', path, once)
  await r.post('create.replayed-by-token', path, { ...once, as: tokens['ann-write'] })
  await r.post('create.key-reused', path, { ...once, json: smtp('Twice') })
  await r.post('create.key-of-failure', path, {
    ...once,
    json: smtp('mail server'),
    headers: { 'idempotency-key': 'failed' }
  })
  const named = { credentialType: 'SMTP', values: { host: 'a', port: 25, password: 'b' } }
  const byName = (name: string, projects: unknown[], more: object = {}) =>
    r.post(`create.${name}`, path, {
      as: ann,
      json: { credentialName: name, ...named, projects },
      ...more
    })
  ids['by-name'] = (await byName('by-name', ['MAIL OUT'], { name: 'by-name' })).json.id
  await byName('by-name-of-unknown-project', ['nonsense'])
  await byName('by-name-of-project-twice', ['Mail out', mail.toUpperCase()])
  const twins = { as: bob, json: { name: 'Of Bob' }, name: 'twin' }
  const twin = (await r.quietly('POST', '/api/v1/projects', twins)).json.id
  const members = { as: bob, json: { email: 'ann@example.org', role: 'viewer' } }
  await r.quietly('POST', `/api/v1/projects/${twin}/members`, members)
  const byNameOf = `${path}/${ids['by-name']}`
  await byName('by-ambiguous-name', ['Of Bob'])
  await r.put('update.ambiguous-name', byNameOf, { as: ann, json: { projects: ['Of Bob'] } })
  await r.post('assign.ambiguous-name', `${byNameOf}/assign-projects`, {
    as: ann,
    json: { projects: ['Of Bob'] }
  })
  await r.post('token.ambiguous-name', '/api/v1/access-tokens', {
    as: ann,
    json: { name: 'No', scopes: ['usages:write'], project: 'of bob' }
  })
  await r.quietly('DELETE', `/api/v1/projects/${twin}`, { as: bob })
  await r.post('assign.by-name', `${byNameOf}/assign-projects`, { as: ann, json: { projects: ['Mail out'] } })
  await r.quietly('DELETE', byNameOf, { as: ann })
  await r.post('create.name-taken', path, { as: ann, json: smtp('MAIL server') })
  await r.post('create.by-viewer', path, { as: dora, json: smtp('No', { projectIds: [mail] }) })
  await r.post('create.by-nobody', path, { as: eve, json: smtp('No', { projectIds: [mail] }) })
  await r.post('create.unknown-project', path, { as: ann, json: smtp('No', { projectIds: [mail, NO_ID] }) })
  await r.post('create.project-twice', path, { as: ann, json: smtp('No', { projectIds: [mail, mail] }) })
  await r.post('create.by-read-token', path, { as: tokens['ann-read'], json: smtp('No') })
  await r.post('create.by-project-token', path, { as: tokens['mail-all'], json: smtp('No') })
  for (const [name, change] of Object.entries({
    'no-name': { credentialName: undefined },
    'blank-name': { credentialName: '  ' },
    'long-name': { credentialName: 'a'.repeat(201) },
    'no-type': { credentialTypeId: undefined },
    'bad-type': { credentialTypeId: 'smtp' },
    'unknown-type': { credentialTypeId: NO_ID },
    'no-keys': { keys: undefined },
    'empty-keys': { keys: [] },
    'keys-of-wrong-type': { keys: {} },
    'too-many-keys': { keys: Array.from({ length: 65 }, () => MAIL_KEYS[0]) },
    'key-without-value': { keys: [{ fieldId: SMTP_FIELDS.host }] },
    'key-without-field': { keys: [{ keyValue: 'x' }] },
    'unknown-field': { keys: [...MAIL_KEYS, { fieldId: NO_ID, keyValue: 'x' }] },
    'field-twice': { keys: [...MAIL_KEYS, MAIL_KEYS[0]] },
    'unknown-key-property': { keys: [{ ...MAIL_KEYS[0], label: 'host' }] },
    'key-by-id-and-name': { keys: [{ ...MAIL_KEYS[0], fieldName: 'host' }] },
    'key-of-unknown-name': { keys: [...MAIL_KEYS, { fieldName: 'nonsense', keyValue: 'x' }] },
    'keys-and-values': { values: { host: 'a' } },
    'two-types': { credentialType: 'smtp' },
    'type-of-unknown-name': { credentialTypeId: undefined, credentialType: 'nonsense' },
    'values-of-unknown-names': { keys: undefined, values: { nonsense: 1, host: 2 } },
    'project-ids-and-names': { projectIds: [], projects: [] },
    'missing-required': { keys: MAIL_KEYS.slice(1) },
    'value-of-wrong-type': { keys: smtpKeys({ host: 1, user: 'a', password: 'b' }) },
    'number-as-text': { keys: smtpKeys({ port: '25', host: 'a', user: 'a', password: 'b' }) },
    'boolean-as-text': { keys: smtpKeys({ secure: 'true', host: 'a', user: 'a', password: 'b' }) },
    'bad-email-value': {
      credentialTypeId: SENDGRID,
      keys: [
        { fieldId: SENDGRID_FIELDS.apiKey, keyValue: 'a' },
        { fieldId: SENDGRID_FIELDS.fromEmail, keyValue: 'nonsense' }
      ]
    },
    'large-value': { keys: smtpKeys({ host: 'a'.repeat(65_600), user: 'a', password: 'b' }) },
    'long-description': { description: 'a'.repeat(2001) },
    'bad-expiry': { expiresAt: '2099-13-01T00:00:00Z' },
    'date-only-expiry': { expiresAt: '2099-01-01' },
    'bad-project': { projectIds: ['nonsense'] },
    'projects-of-wrong-type': { projectIds: mail },
    'too-many-projects': { projectIds: Array.from({ length: 101 }, () => mail) },
    'unknown-property': { ownerId: NO_ID }
  }))
    await r.post(`create.${name}`, path, { as: ann, json: { ...smtp('No'), ...change } })
  for (const [name, values] of Object.entries({
    'against-pattern': { aText: 'ABC' },
    'searched-too-long': { aText: 'a'.repeat(4097) },
    'bad-url': { aUrl: 'example.org' },
    'url-against-pattern': { aUrl: 'http://example.org' },
    'no-option': { aSelect: 'mars' },
    'null-for-required': { aNumber: null },
    'null-for-json': { someJson: null }
  })) {
    const credentialTypeId = idOf(world, 'everything')
    const json = { credentialName: `Value ${name}`, credentialTypeId, keys: everything(values) }
    await r.post(`value.${name}`, path, { as: ann, json })
  }

  const mailer = `${path}/${ids['mailer']}`
  await r.get('get', mailer, { as: ann })
  await r.get('get.by-token', mailer, { as: tokens['ann-read'] })
  await r.get('get.by-viewer', mailer, { as: dora })
  await r.get('get.by-project-token', mailer, { as: tokens['mail-read'] })
  await r.get('get.by-other-project-token', `${path}/${ids['outdated']}`, { as: tokens['weather-all'] })
  await r.get('get.by-nobody', mailer, { as: eve })
  await r.get('get.by-administrator', mailer, { as: admin })
  await r.get('get.upper-case', `${path}/${ids['mailer']!.toUpperCase()}`, { as: ann })
  await r.get('get.unknown', `${path}/${NO_ID}`, { as: ann })
  await r.get('get.no-id', `${path}/nonsense`, { as: ann })
  await r.get('get.if-none-match', mailer, { as: ann, headers: { 'if-none-match': '"1"' } })
  await r.get('get.everything', `${path}/${ids['of-everything']}`, { as: ann })
  await r.get('get.query', `${mailer}?fields=all`, { as: ann })

  await r.get('list', path, { as: ann })
  await r.get('list.by-token', `${path}?pageSize=1`, { as: tokens['ann-read'] })
  await r.get('list.by-project-token', path, { as: tokens['mail-read'] })
  await r.get('list.none', path, { as: dora })
  for (const query of [
    'page=2&pageSize=3',
    'page=99&pageSize=3',
    `credentialTypeId=${SMTP}&pageSize=2`,
    `credentialTypeId=${RAW}`,
    `credentialTypeId=${NO_ID}`,
    'credentialTypeId=smtp',
    'search=SERVER',
    'search=%25',
    'search=_',
    'search=e',
    `search=mail&credentialTypeId=${RAW}`,
    'search=MAIL&page=2&pageSize=1',
    'page=0',
    'pageSize=101',
    'nonsense=1'
  ])
    await r.get(`list?${query}`.replace(/[^\w.]/g, '-'), `${path}?${query}`, { as: ann })

  await r.get('by-project', `${path}/by-project/${mail}`, { as: dora })
  await r.get('by-project.other', `${path}/by-project/${weather}`, { as: ann })
  await r.get('by-project.by-project-token', `${path}/by-project/${mail}`, { as: tokens['mail-read'] })
  await r.get('by-project.by-other-project-token', `${path}/by-project/${mail}`, {
    as: tokens['weather-all']
  })
  await r.get('by-project.by-token', `${path}/by-project/${mail}`, { as: tokens['ann-read'] })
  await r.get('by-project.by-nobody', `${path}/by-project/${mail}`, { as: eve })
  await r.get('by-project.by-administrator', `${path}/by-project/${mail}`, { as: admin })
  await r.get('by-project.unknown', `${path}/by-project/${NO_ID}`, { as: ann })
  await r.get('by-project.no-id', `${path}/by-project/nonsense`, { as: ann })

  r.area('credential-changes')
  const update = (name: string, json: object, more: object = {}) =>
    r.put(`update.${name}`, mailer, { as: ann, json, ...more })
  const ifMatch = (value: string) => ({ headers: { 'if-match': value } })
  await update('description', { description: 'Better' })
  await update('nothing', {})
  await update('same-description', { description: 'Better' })
  await update('name', { credentialName: 'Mail server 2' }, ifMatch('"3"'))
  await update('stale', { description: 'no' }, ifMatch('"1"'))
  await update('one-of-several', { description: 'Listed' }, ifMatch('"1", "4", W/"9"'))
  await update('star', { description: null }, ifMatch('*'))
  await update('weak', { description: 'no' }, ifMatch('W/"6"'))
  await update('not-quoted', { description: 'no' }, ifMatch('6'))
  await update('malformed-etag', { description: 'no' }, ifMatch('"abc"'))
  await update('empty-etag', { description: 'no' }, ifMatch(''))
  await update('long-etag', { description: 'no' }, ifMatch('"1"'.padEnd(1001)))
  await update('value', { keys: smtpKeys({ password: 'another', port: 25 }) })
  await update('keep-secret', { keys: smtpKeys({ password: '' }) })
  await update('clear-optional', { keys: smtpKeys({ port: null, from: '' }) })
  await update('clear-required', { keys: smtpKeys({ host: null }) })
  await update('empty-keys', { keys: [] })
  await update('expiry', { expiresAt: '2099-06-01T12:00:00.123Z' })
  await update('no-expiry', { expiresAt: null })
  await update('projects', { projectIds: [mail] })
  await update('unknown-project', { projectIds: [NO_ID] })
  await update('type', { credentialTypeId: RAW })
  await update('null-name', { credentialName: null })
  await update('wrong-value', { keys: smtpKeys({ port: 'one' }) })
  await update('unknown-field', { keys: [{ fieldId: RAW_BODY, keyValue: {} }] })
  await update('all', {
    credentialName: 'Mail server',
    description: 'All at once',
    keys: smtpKeys({ from: 'ann@example.org' }),
    projectIds: [weather, mail],
    expiresAt: null
  })
  await update('name-taken', { credentialName: 'OUTDATED' })
  await update('by-token', { description: 'Token' }, { as: tokens['ann-write'] })
  await update('by-read-token', { description: 'no' }, { as: tokens['ann-read'] })
  await update('by-member', { description: 'no' }, { as: bob })
  await update('by-nobody', { description: 'no' }, { as: eve })
  await update('by-administrator', { description: 'no' }, { as: admin })
  await r.put('update.unknown', `${path}/${NO_ID}`, { as: ann, json: {} })
  await r.put('update.no-id', `${path}/nonsense`, { as: ann, json: {} })
  const patch = (name: string, json: object, more: object = {}) =>
    r.patch(`patch.${name}`, mailer, { as: ann, json, ...more })
  await patch('description', { description: 'Patched' })
  await patch('clear', { description: null, expiresAt: null })
  await patch('stale', { description: 'no' }, ifMatch('"1"'))
  await patch('keys', { keys: [] })
  await patch('by-member', { description: 'no' }, { as: bob })
  await r.get('get.not-modified', mailer, { as: ann, headers: { 'if-none-match': '*' } })
  await r.get('get.modified', mailer, { as: ann, headers: { 'if-none-match': '"1"' } })

  const assign = (name: string, projectIds: unknown, more: object = {}) =>
    r.post(`assign.${name}`, `${mailer}/assign-projects`, { as: ann, json: { projectIds }, ...more })
  await assign('one', [mail])
  await assign('same', [mail])
  await assign('two', [weather, mail])
  await assign('none', [])
  await assign('back', [mail], ifMatch('*'))
  await assign('stale', [weather], ifMatch('"1"'))
  await assign('unknown', [NO_ID])
  await assign('forbidden', [mail, idOf(world, 'secret-project')])
  await assign('repeated', [mail, mail.toUpperCase()])
  await assign('bad', ['nonsense'])
  await assign('not-a-list', mail)
  await assign('by-member', [mail], { as: bob })
  await assign('by-token', [mail, weather], { as: tokens['ann-write'] })
  await assign('by-reveal-token', [mail], { as: tokens['ann-reveal'] })
  await r.post('assign.unknown-credential', `${path}/${NO_ID}/assign-projects`, {
    as: ann,
    json: { projectIds: [] }
  })

  const taken = (project: string, id = idOf(world, 'mailer-of-cem')) => `${path}/by-project/${project}/${id}`
  await r.delete('unlink.by-editor', taken(mail), { as: cem })
  await r.delete('unlink.by-nobody', taken(mail), { as: eve })
  await r.delete('unlink', taken(mail), { as: bob })
  await r.delete('unlink.again', taken(mail), { as: bob })
  await r.delete('unlink.unknown-project', taken(NO_ID), { as: bob })
  await r.delete('unlink.unknown', taken(mail, NO_ID), { as: bob })
  await r.delete('unlink.no-id', taken(mail, 'nonsense'), { as: bob })
  await r.delete('unlink.by-read-token', taken(mail), { as: tokens['ann-read'] })
  await r.get('unlink.after', `${path}/${idOf(world, 'mailer-of-cem')}`, { as: cem })
  await r.post('unlink.back', `${path}/${idOf(world, 'mailer-of-cem')}/assign-projects`, {
    as: cem,
    json: { projectIds: [mail] }
  })
}
