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
    action: Type.String({ description: 'What was done; of a denial, the operation' }),
    outcome: Outcome,
    actor: ref(Actor),
    target: ref(Target),
    projectId: nullable(Id),
    ip: nullable(Type.String()),
    userAgent: nullable(Type.String()),
    requestId: nullable(Type.String()),
    count: counter({ description: 'How often within the minute, of a denial' }),
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
    position: quantity('How many events are sealed'),
    hash: Type.String({
      pattern: '^[0-9a-f]{64}$',
      description: 'SHA-256, in hex, over all of them',
      examples: ['9f'.repeat(32)]
    })
  },
  { $id: 'AuditHead', examples: [{ position: 4711, hash: '9f'.repeat(32) }] }
)

const tags = ['Audit']

export const listAuditEvents = {
  operationId: 'listAuditEvents',
  summary: 'Read the audit log',
  description:
    'Newest first. An administrator, in person, sees everything; others see the events of their own ' +
    'credentials, and of projects where they are admin or owner. A page looks at a part of the log, so ' +
    'that its cost is bounded: it may have fewer events than `pageSize`, or none, although there are more. ' +
    'The last page is the one whose `nextCursor` is null.',
  tags,
  scopes: READ_AUDIT,
  querystring: closed({
    credentialId: Type.Optional(described(Id, 'What was done to this credential')),
    projectId: Type.Optional(described(Id, 'What was done in this project')),
    actorId: Type.Optional(described(Id, 'What this user, or this token, did')),
    action: Type.Optional(
      Type.String({ maxLength: 100, description: 'What was done', examples: ['credential.revealed'] })
    ),
    outcome: Type.Optional({ ...Outcome, description: 'What was done, or what was refused' }),
    since: Type.Optional(described(Timestamp, 'From this time on')),
    until: Type.Optional(described(Timestamp, 'Before this time')),
    // The names until 1.0, words that several languages reserve.
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
        description: 'The former name of `pageSize`; the one that counts if both are sent'
      })
    )
  }),
  response: { 200: answer('One page', AuditPage) }
}

export const getAuditHead = {
  operationId: 'getAuditHead',
  summary: 'The end of the audit chain',
  description:
    'For administrators. Kept elsewhere, it shows whether events before it were changed, removed or ' +
    'inserted since: `latchkey audit verify`.',
  tags,
  response: { 200: answer('The last sealed position and its hash', Head) },
  problems: [Forbidden]
}
