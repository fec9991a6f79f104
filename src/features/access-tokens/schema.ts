import { Type } from '@sinclair/typebox'
import { PERSONAL_SCOPES, PROJECT_SCOPES } from '../../auth/principal.ts'
import { IdempotencyHeaders } from '../../http/idempotency.ts'
import { PageQuery, pageOf, sortQuery } from '../../http/list-schemas.ts'
import {
  AmbiguousName,
  DecryptionFailedProblem,
  Forbidden,
  IdempotencyKeyReused,
  NotFound,
  TokenRevoked
} from '../../http/problems.ts'
import {
  AskedName,
  answer,
  closed,
  described,
  extensibleEnum,
  Id,
  LocationHeader,
  Name,
  nullable,
  ref,
  ShownName,
  Success,
  Timestamp,
  withId
} from '../../http/schemas.ts'

const Scope = extensibleEnum('Scope', 'What a token may do', [
  ...new Set([...PERSONAL_SCOPES, ...PROJECT_SCOPES])
])
const scopes = Type.Array(Scope, {
  minItems: 1,
  maxItems: 10,
  uniqueItems: true
})

const example = {
  id: '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12',
  name: 'Nightly job',
  scopes: ['credentials:read'],
  projectId: null,
  expiresAt: '2027-11-21T10:15:30.000Z',
  lastUsedAt: null,
  createdAt: '2026-11-21T10:15:30.000Z',
  createdBy: { id: '019a0b1c-2d3e-7f40-8a51-00000000000b', name: 'Ann' }
}

export const AccessTokenCreate = closed(
  {
    name: Name,
    scopes,
    expiresAt: Type.Optional(nullable(Timestamp)),
    projectId: Type.Optional(described(Id, 'For a token of this project')),
    project: Type.Optional(
      Type.String({
        ...AskedName,
        description:
          'The same by the name of a project that the caller created, or by the id of any. The name of ' +
          'another one is 409 `ambiguous-name`. Either this or `projectId`, not both',
        examples: ['Reports']
      })
    )
  },
  {
    $id: 'AccessTokenCreate',
    examples: [{ name: example.name, scopes: example.scopes, expiresAt: example.expiresAt }]
  }
)

const TokenCreator = Type.Object(
  { id: Id, name: ShownName },
  {
    additionalProperties: false,
    description: 'Who made it; null if that user was deleted',
    examples: [{ id: '019a0b1c-2d3e-7f40-8a51-00000000000b', name: 'Ann' }]
  }
)

export const AccessToken = closed(
  {
    id: Id,
    name: ShownName,
    scopes: Type.Array(Type.Unsafe<string>(Scope), { maxItems: 10, examples: [['credentials:read']] }),
    projectId: nullable(Id),
    expiresAt: nullable(Timestamp),
    lastUsedAt: nullable(
      Type.Unsafe<string>({ ...Timestamp, description: 'Written once a minute at the most' })
    ),
    createdAt: Timestamp,
    // Not in answers that were stored for a retry before there was this property.
    createdBy: Type.Optional(nullable(TokenCreator))
  },
  { $id: 'AccessToken', examples: [example] }
)

export const AccessTokenPage = pageOf('AccessTokenPage', AccessToken, [example])

const TokenSortQuery = sortQuery('AccessTokenSort', ['-createdAt', 'createdAt', 'expiresAt', '-expiresAt'])

export const CreatedAccessToken = closed(
  {
    ...AccessToken.properties,
    token: Type.String({ description: 'The token itself, in this answer and never again' })
  },
  {
    $id: 'AccessTokenCreated',
    examples: [{ ...example, token: 'lk_pat_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA2BHxYg' }]
  }
)

const tags = ['Access tokens']

export const createAccessToken = {
  operationId: 'createAccessToken',
  summary: 'Make an access token',
  description:
    'Without `projectId` a personal one: it acts as its maker, with the scopes `' +
    PERSONAL_SCOPES.join('`, `') +
    '`. With `projectId` or `project` one of that project, for its admins and owners to make: a machine of ' +
    'the ' +
    'project, whoever leaves it, with the scopes `' +
    PROJECT_SCOPES.join('`, `') +
    '`. Only in person: a token makes no tokens. A retry with the same `Idempotency-Key` shows the token ' +
    'again, but not once it is revoked or has expired (409 `token-revoked`).',
  tags,
  headers: IdempotencyHeaders,
  body: ref(AccessTokenCreate),
  response: { 201: answer('Made', CreatedAccessToken, LocationHeader) },
  problems: [NotFound, AmbiguousName, TokenRevoked, IdempotencyKeyReused, DecryptionFailedProblem]
}

export const listAccessTokens = {
  operationId: 'listAccessTokens',
  summary: 'List access tokens',
  description:
    'My own; with `projectId` those of the project, for its admins and owners. Those that are not ' +
    'revoked, without the tokens themselves. One that never expires is sorted as the last to expire.',
  tags,
  querystring: closed({
    ...PageQuery,
    ...TokenSortQuery,
    projectId: Type.Optional(described(Id, 'The tokens of this project, in place of my own'))
  }),
  response: {
    200: answer('One page of tokens', AccessTokenPage)
  },
  problems: [Forbidden, NotFound]
}

export const revokeAccessToken = {
  operationId: 'revokeAccessToken',
  summary: 'Revoke an access token',
  description:
    'My own, or one of a project where I am an admin or owner. It is dead at once, on every replica.',
  tags,
  params: withId('token'),
  auditTarget: { id: 'access-token' } as const,
  response: { 200: answer('Revoked', Success) },
  problems: [NotFound]
}
