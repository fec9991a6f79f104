import { type AuditEvent, foldEvents } from '../audit-pages.ts'
import type { Recorder } from '../recorder.ts'
import { idOf, NO_ID, type World } from '../world.ts'

const path = '/api/v1/audit-events'

/** Runs last, so that everything before is in the log. */
export async function audit(r: Recorder, world: World): Promise<void> {
  r.area('audit')
  const { admin, ann, cem, eve } = world.people
  const { tokens } = world
  const mail = idOf(world, 'mail')
  const mailer = idOf(world, 'mailer')
  const list = (name: string, query: string, as = admin) => r.get(name, `${path}?${query}`, { as })
  await r.get('no-filter-by-nobody', path, {
    as: await r.signIn('dora@example.org', 'correct horse battery')
  })
  await list('own-as-member', 'limit=200', cem)
  await list('own-as-other', 'limit=200', eve)
  await list('credential', `credentialId=${mailer}&limit=200`, ann)
  await list('credential.as-administrator', `credentialId=${mailer.toUpperCase()}&outcome=allowed&limit=2`)
  await list('credential.as-member', `credentialId=${mailer}&limit=200`, cem)
  await list('credential.by-token', `credentialId=${mailer}&outcome=allowed&limit=2`, tokens['ann-audit'])
  await list('credential.unknown', `credentialId=${NO_ID}`)
  await list('project', `projectId=${mail}&limit=200`, ann)
  await list('project.as-member', `projectId=${mail}&limit=200`, cem)
  await list('project.deleted', `projectId=${idOf(world, 'weather')}&outcome=allowed`)
  await list('actor', `actorId=${idOf(world, 'eve')}&limit=200`)
  await list('actor.project-token', `actorId=${idOf(world, 'mail-resolve')}&limit=200`)
  await list('actor.deleted', `actorId=${idOf(world, 'bob')}&outcome=allowed&limit=10`)
  await list('action', 'action=credential.revealed&limit=3')
  await list('action.of-denial', 'action=revealAppCredential&limit=200')
  await list('action.unknown', 'action=nothing')
  await list('action.sign-in-failed', 'action=session.failed&limit=200')
  await list('by-token-of-administrator', 'limit=200', tokens['admin-all'])
  await list('time.none', 'until=2020-01-01T00:00:00Z')
  await list('time.all', 'since=2020-01-01T00:00:00Z&until=2099-01-01T00:00:00.000Z&action=project.deleted')
  await list('time.reversed', 'since=2099-01-01T00:00:00Z&until=2020-01-01T00:00:00Z')
  await list('time.offset', 'since=2020-01-01T00:00:00%2B02:00&action=user.deleted&limit=1')

  let cursor: string | null = null
  for (let page = 1; page <= 3; page++) {
    const query: string = `action=project.created&limit=2${cursor ? `&cursor=${cursor}` : ''}`
    cursor = (await list(`page-${page}`, query)).json.nextCursor
  }
  await list('page-size', 'action=project.created&pageSize=1')
  await list('cursor.not-one', `cursor=${NO_ID}`)
  for (const query of [
    'limit=0',
    'limit=201',
    'limit=x',
    'cursor=nonsense',
    'credentialId=nonsense',
    'outcome=maybe',
    'since=yesterday',
    'since=2099-02-30T00:00:00Z',
    'until=2020-01-01',
    `action=${'a'.repeat(101)}`,
    'page=1',
    'outcome=allowed&outcome=denied'
  ])
    await list(`bad.${query.slice(0, 30)}`.replace(/[^\w.]/g, '-'), query)
  await list('nobody', '', {})
  await list('by-read-token', '', tokens['ann-read'])
  await list('by-project-token', '', tokens['mail-all'])

  await r.get('head.by-user', `${path}/head`, { as: ann })
  await r.get('head.by-token', `${path}/head`, { as: tokens['admin-all'] })
  await r.get('head.nobody', `${path}/head`)
  await r.get('head.query', `${path}/head?limit=1`, { as: admin })

  // Denials are sealed when their minute is over, so how many events are sealed depends on the clock.
  const { exchange } = await r.exchange('head', 'GET', `${path}/head`, { as: admin })
  const body = exchange.body
    .replace(/"position":[1-9]\d*,/, '"position":<how many are sealed>,')
    .replace(/[0-9a-f]{64}/, '<SHA-256>')
  r.keep('head', { ...exchange, body })

  const events = await allEvents(r, world)
  const lines = foldEvents(events).map((event) => r.normaliser.text(lineOf(event)))
  r.keep('everything', {
    requests: ['GET /api/v1/audit-events, all pages, one event a line'],
    status: 200,
    headers: [],
    body: lines.join('\n')
  })
}

async function allEvents(r: Recorder, { people }: World): Promise<AuditEvent[]> {
  const events: AuditEvent[] = []
  for (let cursor = ''; ; ) {
    const { json } = await r.quietly('GET', `${path}?limit=200${cursor}`, { as: people.admin })
    events.push(...json.data)
    if (json.nextCursor === null) return events
    cursor = `&cursor=${json.nextCursor}`
  }
}

function lineOf({
  action,
  outcome,
  actor,
  target,
  projectId,
  requestId,
  count,
  details
}: AuditEvent): string {
  return [
    `${action} ${outcome}${count > 1 ? ` ${count} times` : ''}`,
    `${actor.type} ${actor.id} ${actor.name}`,
    `${target.type} ${target.id} ${target.name}`,
    `in ${projectId}`,
    requestId,
    JSON.stringify(details)
  ].join(' | ')
}
