import { Type } from '@sinclair/typebox'
import { RESOLVE } from '../../../auth/principal.ts'
import {
  AmbiguousName,
  AnswerTooLarge,
  DecryptionFailedProblem,
  EnvironmentNotConfigured,
  Expired,
  NotFound
} from '../../../http/problems.ts'
import {
  AskedName,
  answer,
  closed,
  counter,
  described,
  EnvironmentName,
  extensibleEnum,
  Id,
  namedEnum,
  nullable,
  oneOf,
  ref,
  ShownName,
  Timestamp,
  withId
} from '../../../http/schemas.ts'

const id = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'

// The handler requires exactly one of `id` and `name`: a `oneOf` here would be two types in SDKs.
const AskedCredential = closed(
  {
    id: Type.Optional(Id),
    name: Type.Optional(AskedName)
  },
  {
    $id: 'AskedCredential',
    description: 'By `id` or by `name`, not both',
    examples: [{ id }, { name: 'Weather' }]
  }
)

export const ResolveRequest = closed(
  {
    credentials: Type.Array(ref(AskedCredential), { minItems: 1, maxItems: 100 }),
    environment: Type.Optional({ ...EnvironmentName, default: 'main' }),
    onError: Type.Optional(
      namedEnum('OnResolveError', ['report', 'fail'], {
        default: 'report',
        description:
          '`report` answers 200 with each failure in its place; `fail` refuses the whole request if any ' +
          'credential fails'
      })
    )
  },
  { $id: 'ResolveRequest', examples: [{ credentials: [{ name: 'Weather' }], environment: 'main' }] }
)

const ResolveErrorCode = extensibleEnum(
  'ResolveErrorCode',
  'Why a credential is not resolved. A later version may add codes.',
  ['not-found', 'ambiguous-name', 'environment-not-configured', 'expired', 'decryption-failed']
)

const notFound = { code: 'not-found', detail: 'There is no such credential in this project.' }

const ResolveError = closed(
  { code: ResolveErrorCode, detail: Type.String({ description: 'A sentence for people' }) },
  { $id: 'ResolveError', examples: [notFound] }
)

// `status` is always sent but not `required`, because Rust's serde removes the discriminator before it reads
// the other properties. It is a literal, because Java's Jackson ignores `required` and tells the parts apart
// by nothing else.
const ResolvedCredential = closed(
  {
    status: Type.Optional(Type.Literal('resolved')),
    id: Id,
    credentialName: ShownName,
    typeName: ShownName,
    environment: EnvironmentName,
    revision: counter(),
    expiresAt: nullable(Timestamp),
    values: Type.Unsafe<Record<string, unknown>>({
      type: 'object',
      additionalProperties: true,
      description: 'By field name, typed as they went in'
    })
  },
  {
    $id: 'ResolvedCredential',
    description: 'The values of one credential',
    examples: [
      {
        status: 'resolved',
        id,
        credentialName: 'Mail server',
        typeName: 'smtp',
        environment: 'main',
        revision: 3,
        expiresAt: null,
        values: { host: 'mail.example.org', port: 587, password: 'correct horse battery' }
      }
    ]
  }
)

const UnresolvedCredential = closed(
  {
    status: Type.Optional(Type.Literal('failed')),
    id: Type.Optional(described(Id, 'As it was asked for')),
    name: Type.Optional(Type.String({ maxLength: 200, description: 'As it was asked for, in NFC' })),
    error: ref(ResolveError)
  },
  {
    $id: 'UnresolvedCredential',
    description: 'The credential that was asked for, and why it has no values',
    examples: [{ status: 'failed', name: 'Payroll', error: notFound }]
  }
)

const ResolveResult = oneOf(
  'status',
  { resolved: ResolvedCredential, failed: UnresolvedCredential },
  { $id: 'ResolveResult', description: 'The values of one credential, or why it has none' }
)

const ResolveAnswer = closed(
  { results: Type.Array(ref(ResolveResult), { maxItems: 100 }) },
  {
    $id: 'ResolveAnswer',
    examples: [{ results: [...ResolvedCredential['examples'], ...UnresolvedCredential['examples']] }]
  }
)

export const resolveCredentials = {
  operationId: 'resolveCredentials',
  summary: 'Read the values of credentials as a machine of the project',
  description:
    'By a project token with `credentials:resolve` alone. In the order asked; one that fails does not ' +
    'spoil the others. Each hand-out is in the audit log before the answer is sent.\n\n' +
    'With `onError: fail`, one failure refuses the request: 404 `not-found` or ' +
    '`environment-not-configured`, 409 `ambiguous-name`, 410 `expired`, 500 `decryption-failed`. Of ' +
    'several, the highest status is answered; `errors` has each failure, at the pointer of its ' +
    'credential. No values are handed out then.',
  tags: ['App credentials'],
  scopes: RESOLVE,
  params: withId('project'),
  auditTarget: { id: 'project' } as const,
  body: ref(ResolveRequest),
  response: { 200: answer('The results, in the order asked', ResolveAnswer) },
  problems: [
    NotFound,
    EnvironmentNotConfigured,
    AmbiguousName,
    Expired,
    DecryptionFailedProblem,
    AnswerTooLarge
  ]
}
