import { Type } from '@sinclair/typebox'
import { RESOLVE } from '../../../auth/principal.ts'
import { AnswerTooLarge, NotFound } from '../../../http/problems.ts'
import {
  AskedName,
  answer,
  closed,
  counter,
  EnvironmentName,
  Id,
  namedEnum,
  nullable,
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
    examples: [{ id }, { name: 'Mail server' }]
  }
)

export const ResolveRequest = closed(
  {
    credentials: Type.Array(ref(AskedCredential), { minItems: 1, maxItems: 100 }),
    environment: Type.Optional({ ...EnvironmentName, default: 'main' })
  },
  { $id: 'ResolveRequest', examples: [{ credentials: [{ name: 'Mail server' }], environment: 'main' }] }
)

const ResolveError = closed(
  {
    code: namedEnum('ResolveErrorCode', [
      'not-found',
      'ambiguous-name',
      'environment-not-configured',
      'expired',
      'decryption-failed'
    ]),
    detail: Type.String()
  },
  {
    $id: 'ResolveError',
    examples: [{ code: 'not-found', detail: 'There is no such credential in this project.' }]
  }
)

const ResolvedCredential = closed(
  {
    id: Type.Optional(Id),
    name: Type.Optional(
      Type.String({ maxLength: 200, description: 'With `error`, as it was asked for, in NFC' })
    ),
    credentialName: Type.Optional(ShownName),
    typeName: Type.Optional(ShownName),
    environment: Type.Optional(EnvironmentName),
    revision: Type.Optional(counter()),
    expiresAt: Type.Optional(nullable(Timestamp)),
    values: Type.Optional(
      Type.Unsafe<Record<string, unknown>>({
        type: 'object',
        additionalProperties: true,
        description: 'By field name, typed as they went in'
      })
    ),
    error: Type.Optional(ref(ResolveError))
  },
  {
    $id: 'ResolvedCredential',
    description: 'The values of one credential, or the `error` why not',
    examples: [
      {
        id,
        credentialName: 'Mail server',
        typeName: 'smtp',
        environment: 'main',
        revision: 3,
        expiresAt: null,
        values: { host: 'mail.example.org', port: 587, password: 'correct horse battery' }
      },
      {
        name: 'Payroll',
        error: { code: 'not-found', detail: 'There is no such credential in this project.' }
      }
    ]
  }
)

const ResolveAnswer = closed(
  { results: Type.Array(ref(ResolvedCredential), { maxItems: 100 }) },
  { $id: 'ResolveAnswer', examples: [{ results: ResolvedCredential['examples'] }] }
)

export const resolveCredentials = {
  operationId: 'resolveCredentials',
  summary: 'Read the values of credentials as a machine of the project',
  description:
    'By a project token with `credentials:resolve` alone. In the order asked; one that fails does not ' +
    'spoil the others. Each hand-out is ' +
    'in the audit log before the answer is sent.',
  tags: ['App credentials'],
  scopes: RESOLVE,
  params: withId('project'),
  auditTarget: { id: 'project' } as const,
  body: ref(ResolveRequest),
  response: { 200: answer('The results, in the order asked', ResolveAnswer) },
  problems: [NotFound, AnswerTooLarge]
}
