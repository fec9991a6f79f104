import { Type } from '@sinclair/typebox'
import { READ_AUDIT } from '../auth/principal.ts'
import { CursorQuery, NextCursor, pageSize } from '../http/list-schemas.ts'
import { Forbidden } from '../http/problems.ts'
import {
  answer,
  closed,
  counter,
  described,
  Id,
  namedEnum,
  nullable,
  quantity,
  ref,
  Timestamp
} from '../http/schemas.ts'

const Outcome = namedEnum('AuditOutcome', ['allowed', 'denied'])

const example = {
  id: '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12',
  occurredAt: '2026-11-21T10:15:30.000Z',
  action: 'credential.revealed',
  outcome: 'allowed',
  actor: { type: 'user', id: '019a0b1c-2d3e-7f40-8a51-00000000000b', name: 'Ann' },
  target: { type: 'credential', id: '019a0b1c-2d3e-7f40-8a51-00000000000c', name: 'Mail server' },
  projectId: null,
  ip: '203.0.113.7',
  userAgent: 'Firefox',
  requestId: '019a0b1c-2d3e-7f40-8a51-00000000000d',
  count: 1,
  details: { environment: 'main', revision: 3 }
}

const Actor = closed(
  { type: Type.String(), id: nullable(Id), name: nullable(Type.String()) },
  { $id: 'AuditActor', examples: [example.actor] }
)
const Target = closed(
  { type: nullable(Type.String()), id: nullable(Id), name: nullable(Type.String()) },
  { $id: 'AuditTarget', examples: [example.target] }
)

export const AuditEvent = closed(
  {
    id: Id,
    occurredAt: Timestamp,
    action: Type.String({ description: 'What was done or, for a denied request, its operation' }),
    outcome: Outcome,
    actor: ref(Actor),
    target: ref(Target),
    projectId: nullable(Id),
    ip: nullable(Type.String()),
    userAgent: nullable(Type.String()),
    requestId: nullable(Type.String()),
    count: counter({ description: 'How often the same request was denied within a minute; otherwise 1' }),
    details: Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true })
  },
  { $id: 'AuditEvent', examples: [example] }
)

const AuditPage = closed(
  {
    data: Type.Array(ref(AuditEvent), { maxItems: 200 }),
    nextCursor: NextCursor
  },
  { $id: 'AuditEventPage', examples: [{ data: [example], nextCursor: null }] }
)

const Head = closed(
  {
    position: quantity('The number of sealed events'),
    hash: Type.String({
      pattern: '^[0-9a-f]{64}$',
      description: 'The hash over all sealed events: SHA-256, in hexadecimal',
      examples: ['9f'.repeat(32)]
    })
  },
  { $id: 'AuditHead', examples: [{ position: 4711, hash: '9f'.repeat(32) }] }
)

const tags = ['Audit']

export const listAuditEvents = {
  operationId: 'listAuditEvents',
  summary: 'List audit events',
  description:
    'Newest first. Administrators see all events if they use a session. Other users, and all personal ' +
    'tokens, see the events of their own credentials and of projects where they are an admin or owner. ' +
    'Each page searches a limited part of the log, so it can have fewer events than `pageSize`, or none, ' +
    'although more follow. The last page is the one whose `nextCursor` is null.',
  tags,
  scopes: READ_AUDIT,
  querystring: closed({
    credentialId: Type.Optional(described(Id, 'Only events of this credential')),
    projectId: Type.Optional(described(Id, 'Only events in this project')),
    actorId: Type.Optional(described(Id, 'Only events of this user or this token')),
    action: Type.Optional(
      Type.String({
        maxLength: 100,
        description: 'Only events with this action',
        examples: ['credential.revealed']
      })
    ),
    outcome: Type.Optional({ ...Outcome, description: 'Only what was done, or only denied requests' }),
    since: Type.Optional(described(Timestamp, 'Only events at this time or later')),
    until: Type.Optional(described(Timestamp, 'Only events before this time')),
    // Names from before 1.0. They are reserved words in several languages.
    from: Type.Optional(Type.Unsafe<string>({ ...Timestamp, undocumented: true })),
    to: Type.Optional(Type.Unsafe<string>({ ...Timestamp, undocumented: true })),
    ...CursorQuery,
    pageSize: pageSize(200, 50),
    limit: Type.Optional(
      Type.Integer({
        format: 'int32',
        minimum: 1,
        maximum: 200,
        deprecated: true,
        description: 'The former name of `pageSize`. If both are sent, this one applies'
      })
    )
  }),
  response: { 200: answer('A page of audit events', AuditPage) }
}

export const getAuditHead = {
  operationId: 'getAuditHead',
  summary: 'Get the head of the audit log',
  description:
    'For administrators. Store the head outside the service. With it, `latchkey audit verify` detects ' +
    'whether earlier events have since been changed, removed or inserted.',
  tags,
  response: { 200: answer('The position of the last sealed event, and the hash', Head) },
  problems: [Forbidden]
}
