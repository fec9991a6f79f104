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
  answer,
  closed,
  counter,
  described,
  EnvironmentName,
  extensibleEnum,
  Id,
  LookupName,
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
    name: Type.Optional(LookupName)
  },
  {
    $id: 'AskedCredential',
    description: 'Send `id` or `name`, not both',
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
          '`report` returns 200, with an error in place of each credential that fails. `fail` returns an ' +
          'error for the whole request if any credential fails'
      })
    )
  },
  { $id: 'ResolveRequest', examples: [{ credentials: [{ name: 'Weather' }], environment: 'main' }] }
)

const ResolveErrorCode = extensibleEnum(
  'ResolveErrorCode',
  'Why a credential could not be resolved. Later versions may add codes.',
  ['not-found', 'ambiguous-name', 'environment-not-configured', 'expired', 'decryption-failed']
)

const notFound = { code: 'not-found', detail: 'The project has no such credential.' }

const ResolveError = closed(
  { code: ResolveErrorCode, detail: Type.String({ description: 'A sentence for people' }) },
  { $id: 'ResolveError', examples: [notFound] }
)

// `status` is always sent but not `required`, because Rust's serde removes the discriminator before it reads
// the other properties. It is a literal, because Java's Jackson ignores `required` and distinguishes the
// parts only by it.
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
      description: 'The values by field name, with the JSON types that were stored'
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
    id: Type.Optional(described(Id, 'The id in the request')),
    name: Type.Optional(Type.String({ maxLength: 200, description: 'The name in the request, in NFC' })),
    error: ref(ResolveError)
  },
  {
    $id: 'UnresolvedCredential',
    description: 'The requested credential, and why it could not be resolved',
    examples: [{ status: 'failed', name: 'Payroll', error: notFound }]
  }
)

const ResolveResult = oneOf(
  'status',
  { resolved: ResolvedCredential, failed: UnresolvedCredential },
  { $id: 'ResolveResult', description: 'The values of one credential, or an error' }
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
  summary: 'Resolve credentials',
  description:
    'Returns the values of credentials in the project. Only for project tokens of the project with the ' +
    'scope `credentials:resolve`. The results have the order of the request; a credential that fails does ' +
    'not affect the others. The audit log records each read before the response is sent.\n\n' +
    'With `onError: fail`, one failure fails the whole request, and no values are returned: 404 ' +
    '`not-found` or `environment-not-configured`, 409 `ambiguous-name`, 410 `expired`, or 500 ' +
    '`decryption-failed`. If several credentials fail, you get the highest of these statuses. `errors` ' +
    'lists each failure with a pointer to its credential.',
  tags: ['App credentials'],
  scopes: RESOLVE,
  params: withId('project'),
  auditTarget: { id: 'project' } as const,
  body: ref(ResolveRequest),
  response: { 200: answer('The results, in the order of the request', ResolveAnswer) },
  problems: [
    NotFound,
    EnvironmentNotConfigured,
    AmbiguousName,
    Expired,
    DecryptionFailedProblem,
    AnswerTooLarge
  ]
}
