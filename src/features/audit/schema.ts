import { Type } from '@sinclair/typebox'
import { READ_AUDIT } from '../../plugins/principal.ts'
import { answer, closed, Id, nullable, ref, stringEnum, Timestamp } from '../../schemas.ts'

const Outcome = stringEnum(['allowed', 'denied'])

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
    count: Type.Integer({ minimum: 1, description: 'How often within the minute, of a denial' }),
    details: Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true })
  },
  { $id: 'AuditEvent', examples: [example] }
)

const AuditPage = closed(
  {
    data: Type.Array(ref(AuditEvent)),
    nextCursor: nullable(Type.String({ description: 'For the page after this one; null on the last' }))
  },
  { $id: 'AuditEventPage', examples: [{ data: [example], nextCursor: null }] }
)

const Head = closed(
  {
    position: Type.Integer({ minimum: 0, description: 'How many events are sealed' }),
    hash: Type.String({ description: 'SHA-256, in hex, over all of them' })
  },
  { $id: 'AuditHead', examples: [{ position: 4711, hash: '9f'.repeat(32) }] }
)

const tags = ['Audit']

export const listAuditEvents = {
  operationId: 'listAuditEvents',
  summary: 'Read the audit log',
  description:
    'Newest first. An administrator, in person, sees everything; others see the events of their own credentials, and of projects where they are ' +
    'admin or owner.',
  tags,
  scopes: READ_AUDIT,
  querystring: closed({
    credentialId: Type.Optional(Id),
    projectId: Type.Optional(Id),
    actorId: Type.Optional(Id),
    action: Type.Optional(Type.String({ maxLength: 100 })),
    outcome: Type.Optional(Outcome),
    from: Type.Optional(Timestamp),
    to: Type.Optional(Timestamp),
    cursor: Type.Optional(Id),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 }))
  }),
  response: { 200: answer('One page', AuditPage) }
}

export const getAuditHead = {
  operationId: 'getAuditHead',
  summary: 'The end of the audit chain',
  description:
    'For administrators. Kept elsewhere, it shows whether events before it were changed, removed or inserted since: `latchkey audit verify`.',
  tags,
  response: { 200: answer('The last sealed position and its hash', Head) }
}
