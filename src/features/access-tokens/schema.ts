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
  answer,
  closed,
  described,
  extensibleEnum,
  Id,
  LocationHeader,
  LookupName,
  Name,
  nullable,
  ref,
  ShownName,
  Success,
  Timestamp,
  withId
} from '../../http/schemas.ts'

const Scope = extensibleEnum('Scope', 'What a token can be used for', [
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
    expiresAt: Type.Optional(nullable(described(Timestamp, 'The time of expiry (RFC 3339), or null'))),
    projectId: Type.Optional(
      described(Id, 'Creates a project token for this project. Send this or `project`, not both')
    ),
    project: Type.Optional(
      Type.String({
        ...LookupName,
        description:
          'Creates a project token for the project with this name (only if you created it) or this id. ' +
          'Send this or `projectId`, not both',
        examples: ['Reports']
      })
    )
  },
  {
    $id: 'AccessTokenCreate',
    examples: [
      { name: example.name, project: 'Reports', scopes: ['credentials:resolve'] },
      { name: 'Backup script', scopes: ['credentials:read'], expiresAt: null }
    ]
  }
)

const TokenCreator = Type.Object(
  { id: Id, name: ShownName },
  {
    additionalProperties: false,
    description: 'The user who created the token; null if the user was deleted',
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
    lastUsedAt: nullable(Type.Unsafe<string>({ ...Timestamp, description: 'Updated at most once a minute' })),
    createdAt: Timestamp,
    // Missing in responses that earlier versions stored for retries.
    createdBy: Type.Optional(nullable(TokenCreator))
  },
  { $id: 'AccessToken', examples: [example] }
)

export const AccessTokenPage = pageOf('AccessTokenPage', AccessToken, [example])

const TokenSortQuery = sortQuery('AccessTokenSort', ['-createdAt', 'createdAt', 'expiresAt', '-expiresAt'])

export const CreatedAccessToken = closed(
  {
    ...AccessToken.properties,
    token: Type.String({
      description: 'The token. It is shown only in this response'
    })
  },
  {
    $id: 'AccessTokenCreated',
    examples: [{ ...example, token: 'lk_pat_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA2BHxYg' }]
  }
)

const tags = ['Access tokens']

export const createAccessToken = {
  operationId: 'createAccessToken',
  summary: 'Create an access token',
  description:
    'With `project` or `projectId`, you create a project token. It belongs to the project, and only an ' +
    `admin or owner of the project can create it. Its scopes: \`${PROJECT_SCOPES.join('`, `')}\`.\n\n` +
    'Without them, you create a personal token, which acts as you. Its scopes: ' +
    `\`${PERSONAL_SCOPES.join('`, `')}\`.\n\n` +
    'Needs a session: a token cannot create tokens. A retry with the same `Idempotency-Key` returns the ' +
    'token again, unless it has expired or was revoked (409 `token-revoked`).',
  tags,
  headers: IdempotencyHeaders,
  body: ref(AccessTokenCreate),
  response: { 201: answer('The new token', CreatedAccessToken, LocationHeader) },
  problems: [NotFound, AmbiguousName, TokenRevoked, IdempotencyKeyReused, DecryptionFailedProblem]
}

export const listAccessTokens = {
  operationId: 'listAccessTokens',
  summary: 'List access tokens',
  description:
    'Your personal tokens or, with `projectId`, the tokens of the project, for its admins and owners. ' +
    'Leaves out revoked tokens, and never contains the tokens themselves. Sorted by `expiresAt`, a token ' +
    'without an expiry comes last.',
  tags,
  querystring: closed({
    ...PageQuery,
    ...TokenSortQuery,
    projectId: Type.Optional(described(Id, 'The tokens of this project instead of your own'))
  }),
  response: {
    200: answer('A page of tokens', AccessTokenPage)
  },
  problems: [Forbidden, NotFound]
}

export const revokeAccessToken = {
  operationId: 'revokeAccessToken',
  summary: 'Revoke an access token',
  description:
    'Your own token, or a token of a project where you are an admin or owner. It stops working ' +
    'immediately, on every replica.',
  tags,
  params: withId('token'),
  auditTarget: { id: 'access-token' } as const,
  response: { 200: answer('The token was revoked', Success) },
  problems: [NotFound]
}
