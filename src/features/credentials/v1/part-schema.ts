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

// The name is validated, for a helpful message. Ids are not, because a malformed id gets the 404 of a hidden
// one.
const OfEnvironment = Type.Object({ id: pathId('credential'), environment: EnvironmentName })

export const Usage = closed(
  {
    consumer: Type.String({ maxLength: 200, examples: ['workflow:42'] }),
    projectId: nullable(Id),
    createdAt: Timestamp
  },
  {
    $id: 'Usage',
    description: 'A record that a consumer depends on the credential',
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
    description: 'A name for the consumer that you choose, without spaces',
    examples: ['workflow:42']
  })
})

const tags = ['App credentials']

export const putEnvironment = {
  operationId: 'putEnvironment',
  summary: 'Set the values of an environment',
  description:
    'For the owner. An environment gives the credential different values, such as for `staging`. If it ' +
    'does not exist, it is created. As in an update, absent values keep what is stored, `null` clears an ' +
    'optional value, and `""` keeps the value of a secret field. With `If-None-Match: *`, an existing ' +
    'environment is not changed, and you get 412.',
  tags,
  scopes: WRITE,
  params: OfEnvironment,
  auditTarget: { id: 'credential' } as const,
  headers: Type.Object({
    ...IfMatch.properties,
    'if-none-match': Type.Optional(
      Type.String({
        maxLength: 1000,
        description: '`*` creates the environment only if it does not exist; otherwise you get 412',
        examples: ['*']
      })
    )
  }),
  body: ref(EnvironmentValues),
  mergePatch: {
    operationId: 'patchEnvironment',
    description:
      'The same as `putEnvironment`, as a JSON merge patch (RFC 7396) of the values, without `keys`.',
    body: ref(EnvironmentPatch)
  },
  response: {
    200: answer('The updated credential', AppCredential, ETagHeader)
  },
  problems: [NotFound, TooManyEnvironments, RevisionChanged, DecryptionFailedProblem]
}

export const deleteEnvironment = {
  operationId: 'deleteEnvironment',
  summary: 'Delete an environment',
  description: 'For the owner. Deletes the environment with its values. `main` cannot be deleted.',
  tags,
  scopes: WRITE,
  params: OfEnvironment,
  auditTarget: { id: 'credential' } as const,
  headers: IfMatch,
  response: { 200: answer('The environment was deleted', Success) },
  problems: [NotFound, EnvironmentNotConfigured, MainEnvironment, RevisionChanged, DecryptionFailedProblem]
}

export const Transfer = closed(
  { email: Email },
  { $id: 'Transfer', examples: [{ email: 'ann@example.org' }] }
)

export const transferAppCredential = {
  operationId: 'transferAppCredential',
  summary: 'Transfer a credential to another user',
  description:
    'For the owner, with a session. The credential keeps its values, links and usages. The new owner must ' +
    'be an editor or above in every project that it is linked to, and must have no credential with the ' +
    'same name or external id. Otherwise you get 409 `new-owner-may-not-link` with those `projects`. You ' +
    'get the same response if no user has the address.',
  tags,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  headers: IfMatch,
  body: ref(Transfer),
  response: { 200: answer('The credential was transferred', Success) },
  problems: [NotFound, NewOwnerMayNotLink, RevisionChanged]
}

export const listUsages = {
  operationId: 'listUsages',
  summary: 'List the usages of a credential',
  description:
    'For the owner; a personal token needs `credentials:read`. Also for project tokens of a project that ' +
    'the credential is linked to: these need `usages:write`, and see only the usages of their project.',
  tags,
  scopes: READ_USAGES,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  querystring: closed({ ...PageQuery, ...UsageSortQuery }),
  response: {
    200: answer('A page of usages', UsagePage)
  },
  problems: [Forbidden, NotFound]
}

export const putUsage = {
  operationId: 'putUsage',
  summary: 'Register a usage of a credential',
  description:
    'A usage records that a consumer depends on the credential. A credential with usages cannot be ' +
    'deleted. For the owner, and for project tokens of a project that the credential is linked to. ' +
    'Registering a usage again changes nothing. A credential can have up to 10,000 usages.',
  tags,
  scopes: WRITE_USAGES,
  params: OfUsage,
  auditTarget: { id: 'credential' } as const,
  response: { 200: answer('The usage', Usage) },
  problems: [NotFound, TooManyUsages]
}

export const deleteUsage = {
  operationId: 'deleteUsage',
  summary: 'Delete a usage of a credential',
  description:
    'For the owner, and for project tokens of a project that the credential is linked to. These can delete ' +
    'only the usages of their project.',
  tags,
  scopes: WRITE_USAGES,
  params: OfUsage,
  auditTarget: { id: 'credential' } as const,
  response: { 200: answer('The usage was deleted', Success) },
  problems: [NotFound]
}
