import type { Recorder } from '../recorder.ts'
import { idOf, NO_ID, type World } from '../world.ts'

const credentialsPath = '/api/v1/app-credentials'

export async function resolve(r: Recorder, world: World): Promise<void> {
  r.area('resolve')
  const { people, tokens } = world
  const { ann } = people
  const mail = idOf(world, 'mail')
  const path = `/api/v1/projects/${mail}/resolve`
  const id = idOf(world, 'mailer')
  const ask = (name: string, credentials: unknown, more: object = {}, options: object = {}) =>
    r.post(name, path, { as: tokens['mail-resolve'], json: { credentials, ...more }, ...options })
  await ask('by-id', [{ id }])
  await ask('by-id-upper-case', [{ id: id.toUpperCase() }])
  await ask('by-name', [{ name: 'ANY 100% json_' }])
  await ask('ambiguous', [{ name: 'Mail server' }])
  await ask('many', [
    { id: NO_ID },
    { id },
    { name: 'nothing' },
    { name: 'any 100% JSON_' },
    { id: idOf(world, 'any-json') },
    { id: idOf(world, 'outdated') },
    { id: idOf(world, 'of-everything') },
    { name: 'OUTDATED' }
  ])
  const fail = { onError: 'fail' }
  await ask('fail.none', [{ id }], fail)
  await ask('fail.not-found', [{ id }, { id: NO_ID }, { name: 'nothing' }], fail)
  await ask('fail.ambiguous', [{ id }, { name: 'Mail server' }], fail)
  await ask('fail.expired', [{ id: NO_ID }, { id: idOf(world, 'outdated') }, { name: 'Mail server' }], fail)
  await ask('fail.environment', [{ id: idOf(world, 'any-json') }], { ...fail, environment: 'nothing' })
  await ask('fail.bad', [{ id }], { onError: 'stop' })
  await ask('environment', [{ id }, { id: idOf(world, 'any-json') }], { environment: 'staging' })
  await ask('environment.main', [{ id }], { environment: 'main' })
  await ask('environment.unknown', [{ id }], { environment: 'nothing' })
  await ask('environment.bad', [{ id }], { environment: 'No Thing' })
  await ask('repeated-id', [{ id }, { id: id.toUpperCase() }])
  await ask('repeated-name', [{ name: 'Outdated' }, { name: 'OUTDATED' }])
  const nothing = Array.from({ length: 101 }, (_, index) => ({
    id: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`
  }))
  await ask('hundred', nothing.slice(0, 100))
  await ask('too-many', nothing)
  await ask('none', [])
  await ask('not-a-list', { id })
  await ask('missing', undefined)
  await ask('id-and-name', [{ id, name: 'Mail server' }])
  await ask('neither', [{ id }, {}])
  await ask('bad-id', [{ id: 'nonsense' }])
  await ask('empty-name', [{ name: '' }])
  await ask('long-name', [{ name: 'a'.repeat(201) }])
  await ask('unknown-property', [{ id }], { reason: 'none' })
  await ask('unknown-item-property', [{ id, field: 'host' }])
  await ask('by-all-token', [{ id }], {}, { as: tokens['mail-all'] })
  await ask('by-read-token', [{ id }], {}, { as: tokens['mail-read'] })
  await ask('by-other-project', [{ id }], {}, { as: tokens['weather-all'] })
  await ask('by-personal-token', [{ id }], {}, { as: tokens['ann-all'] })
  await ask('by-owner', [{ id }], {}, { as: ann })
  await r.post('other-project', `/api/v1/projects/${idOf(world, 'weather')}/resolve`, {
    as: tokens['weather-all'],
    json: { credentials: [{ id }, { id: idOf(world, 'any-json') }, { name: 'mail SERVER' }] }
  })
  await r.post('unknown-project', `/api/v1/projects/${NO_ID}/resolve`, {
    as: tokens['mail-resolve'],
    json: { credentials: [{ id }] }
  })
  await r.post('no-id', '/api/v1/projects/nonsense/resolve', {
    as: tokens['mail-resolve'],
    json: { credentials: [{ id }] }
  })
  await ask('over-256-kib', [{ name: 'a'.repeat(262_144) }])

  // Seven of nearly 1 MiB, sealed and in base64, are over 8 MiB.
  const keys = Array.from({ length: 15 }, (_, index) => ({
    fieldId: idOf(world, `large.f${index}`),
    keyValue: 'x'.repeat(65_000)
  }))
  const large: string[] = []
  for (let index = 0; index < 7; index++) {
    const json = {
      credentialName: `Large ${index}`,
      credentialTypeId: idOf(world, 'large'),
      keys,
      projectIds: [mail]
    }
    large.push((await r.quietly('POST', credentialsPath, { as: ann, json })).json.id)
  }
  await ask(
    'answer-too-large',
    large.map((id) => ({ id }))
  )
  await ask('answer-large', [{ id: large[0] }])
  for (const id of large) await r.quietly('DELETE', `${credentialsPath}/${id}`, { as: ann })
}
