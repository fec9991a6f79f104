import { Type } from '@sinclair/typebox'
import { READ_USAGES, WRITE, WRITE_USAGES } from '../../../auth/principal.ts'
import { PageQuery, pageOf, sortQuery } from '../../../http/list-schemas.ts'
import {
  DecryptionFailedProblem,
  EnvironmentNotConfigured,
  Forbidden,
  MainEnvironment,
  NewOwnerMayNotLink,
  NotFound,
  RevisionChanged,
  TooManyEnvironments,
  TooManyUsages
} from '../../../http/problems.ts'
import {
  answer,
  closed,
  Email,
  EnvironmentName,
  ETagHeader,
  Id,
  nullable,
  pathId,
  ref,
  Success,
  Timestamp,
  withId
} from '../../../http/schemas.ts'
import { AppCredential, EnvironmentPatch, EnvironmentValues, IfMatch } from './resource-schema.ts'

// The name is validated, for a helpful message. Ids are not, because their resources may be hidden.
const OfEnvironment = Type.Object({ id: pathId('credential'), environment: EnvironmentName })

export const Usage = closed(
  {
    consumer: Type.String({ maxLength: 200, examples: ['workflow:42'] }),
    projectId: nullable(Id),
    createdAt: Timestamp
  },
  {
    $id: 'Usage',
    description: 'A consumer that depends on the credential',
    examples: [
      {
        consumer: 'workflow:42',
        projectId: '019a0b1c-2d3e-7f40-8a51-00000000000c',
        createdAt: '2026-11-21T10:15:30.000Z'
      }
    ]
  }
)

export const UsagePage = pageOf('UsagePage', Usage, Usage.examples)

const UsageSortQuery = sortQuery('UsageSort', ['createdAt', '-createdAt', 'consumer', '-consumer'])

const OfUsage = Type.Object({
  id: pathId('credential'),
  consumer: Type.String({
    minLength: 1,
    maxLength: 200,
    textRule: 'consumer',
    pattern: '^[^\\x00-\\x20\\x7f]+$',
    description: 'The consumer’s own name for itself, without spaces',
    examples: ['workflow:42']
  })
})

const tags = ['App credentials']

export const putEnvironment = {
  operationId: 'putEnvironment',
  summary: 'Set the values of an environment',
  description:
    'The same credential with other values in `staging`, `production`, …; created if it does not exist. As ' +
    'with an update, a value that is not sent stays, `null` clears an optional one, and `""` on a secret ' +
    'field keeps the value. With `If-None-Match: *` it is only created (RFC 9110, 13.1.2).',
  tags,
  scopes: WRITE,
  params: OfEnvironment,
  auditTarget: { id: 'credential' } as const,
  headers: Type.Object({
    ...IfMatch.properties,
    'if-none-match': Type.Optional(
      Type.String({
        maxLength: 1000,
        description: '`*`: only if the environment does not exist; else 412',
        examples: ['*']
      })
    )
  }),
  body: ref(EnvironmentValues),
  mergePatch: {
    operationId: 'patchEnvironment',
    description:
      'A JSON merge patch (RFC 7396) of the values: as `putEnvironment`, without `keys`. The environment ' +
      'is created if it does not exist.',
    body: ref(EnvironmentPatch)
  },
  response: {
    200: answer('The credential as it is now', AppCredential, ETagHeader)
  },
  problems: [NotFound, TooManyEnvironments, RevisionChanged, DecryptionFailedProblem]
}

export const deleteEnvironment = {
  operationId: 'deleteEnvironment',
  summary: 'Delete an environment',
  description: 'With its values. `main` cannot be deleted.',
  tags,
  scopes: WRITE,
  params: OfEnvironment,
  auditTarget: { id: 'credential' } as const,
  headers: IfMatch,
  response: { 200: answer('Deleted', Success) },
  problems: [NotFound, EnvironmentNotConfigured, MainEnvironment, RevisionChanged, DecryptionFailedProblem]
}

export const Transfer = closed(
  { email: Email },
  { $id: 'Transfer', examples: [{ email: 'bob@example.org' }] }
)

export const transferAppCredential = {
  operationId: 'transferAppCredential',
  summary: 'Give a credential to another user',
  description:
    'Who has to be an editor or above in every project that it is linked to, and to have no credential of ' +
    'the same name or external id. Otherwise, and if nobody has the address, it is refused with 409 ' +
    '`new-owner-may-not-link` and the `projects` that it is linked to: who has an account is not told. Its ' +
    'values, links and usages stay. In person.',
  tags,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  headers: IfMatch,
  body: ref(Transfer),
  response: { 200: answer('Given', Success) },
  problems: [NotFound, NewOwnerMayNotLink, RevisionChanged]
}

export const listUsages = {
  operationId: 'listUsages',
  summary: 'Who depends on a credential',
  description:
    'For its owner, with a token `credentials:read`; for a machine of a project that it is linked to, ' +
    '`usages:write`, and then those of its project.',
  tags,
  scopes: READ_USAGES,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  querystring: closed({ ...PageQuery, ...UsageSortQuery }),
  response: {
    200: answer('One page of usages', UsagePage)
  },
  problems: [Forbidden, NotFound]
}

export const putUsage = {
  operationId: 'putUsage',
  summary: 'Say that a consumer depends on a credential',
  description:
    'So that the credential cannot be deleted under it. For its owner, and for machines of a project that ' +
    'it is linked to: once it is taken out of the project, they can only take back what they have said. ' +
    'Saying it again changes nothing. A credential has 10,000 usages at the most.',
  tags,
  scopes: WRITE_USAGES,
  params: OfUsage,
  auditTarget: { id: 'credential' } as const,
  response: { 200: answer('The usage', Usage) },
  problems: [NotFound, TooManyUsages]
}

export const deleteUsage = {
  operationId: 'deleteUsage',
  summary: 'Say that a consumer does not depend on a credential any more',
  description: 'For its owner, and for machines of a project that it is linked to.',
  tags,
  scopes: WRITE_USAGES,
  params: OfUsage,
  auditTarget: { id: 'credential' } as const,
  response: { 200: answer('Deleted', Success) },
  problems: [NotFound]
}
