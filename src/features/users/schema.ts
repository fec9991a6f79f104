import { Type } from '@sinclair/typebox'
import { USER_ROLES } from '../../db/tables.ts'
import { IdempotencyHeaders } from '../../http/idempotency.ts'
import { NamedSortQuery, PageQuery, pageOf, SearchQuery, UpdatedSinceQuery } from '../../http/list-schemas.ts'
import {
  DecryptionFailedProblem,
  EmailTaken,
  Forbidden,
  IdempotencyKeyReused,
  LastAdministrator,
  LastOwner,
  NotFound,
  UserOwnsCredentials
} from '../../http/problems.ts'
import {
  answer,
  closed,
  Email,
  Id,
  LocationHeader,
  Name,
  namedEnum,
  Password,
  ref,
  ShownName,
  Success,
  Timestamp,
  withId
} from '../../http/schemas.ts'

const UserRole = namedEnum('UserRole', USER_ROLES)

const ann = {
  id: '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12',
  email: 'ann@example.org',
  name: 'Ann',
  role: 'user',
  disabled: false,
  createdAt: '2026-11-21T10:15:30.000Z',
  updatedAt: '2026-11-21T10:15:30.000Z'
}

export const User = closed(
  {
    id: Id,
    email: Email,
    name: ShownName,
    role: UserRole,
    disabled: Type.Boolean({ description: 'Whether the user is prevented from signing in' }),
    createdAt: Timestamp,
    updatedAt: Timestamp
  },
  { $id: 'User', examples: [ann] }
)

export const UserPage = pageOf('UserPage', User, [ann])

export const UserCreate = closed(
  {
    email: Email,
    name: Name,
    password: Password,
    role: Type.Optional({
      ...UserRole,
      default: 'user',
      description: '`admin` makes the user an administrator of the service'
    })
  },
  { $id: 'UserCreate', examples: [{ email: ann.email, name: ann.name, password: 'correct horse battery' }] }
)

export const UserUpdate = closed(
  {
    name: Type.Optional(Name),
    email: Type.Optional(Email),
    role: Type.Optional(UserRole),
    disabled: Type.Optional(
      Type.Boolean({
        description: 'true prevents the user from signing in, ends their sessions and revokes their tokens'
      })
    ),
    password: Type.Optional(
      Type.String({
        ...Password,
        description: 'A new password. Ends all sessions of the user'
      })
    )
  },
  { $id: 'UserUpdate', examples: [{ name: 'Ann Other' }, { disabled: true }] }
)

const tags = ['Users']

export const createUser = {
  operationId: 'createUser',
  summary: 'Create a user',
  description:
    'For administrators. E-mail addresses are case-insensitive. An internationalized domain is stored in ' +
    'its ASCII form (`xn--…`).',
  tags,
  headers: IdempotencyHeaders,
  body: ref(UserCreate),
  response: { 201: answer('The new user', User, LocationHeader) },
  problems: [EmailTaken, IdempotencyKeyReused, DecryptionFailedProblem]
}

export const listUsers = {
  operationId: 'listUsers',
  summary: 'List users',
  description: 'For administrators.',
  tags,
  querystring: closed({ ...PageQuery, ...NamedSortQuery, ...SearchQuery, ...UpdatedSinceQuery }),
  response: { 200: answer('A page of users', UserPage) },
  problems: [Forbidden]
}

export const getUser = {
  operationId: 'getUser',
  summary: 'Get a user',
  description: 'For administrators, and for users themselves. Other users get 404.',
  tags,
  params: withId('user'),
  auditTarget: { id: 'user' } as const,
  response: { 200: answer('The user', User) },
  problems: [NotFound]
}

export const updateUser = {
  operationId: 'updateUser',
  summary: 'Update a user',
  description:
    'Administrators can change all properties; other users only their own name (otherwise 403). Absent ' +
    'properties keep their values. Disabling a user or setting a new password ends all their sessions. The ' +
    'last administrator who can sign in cannot be disabled or demoted (409 `last-administrator`).',
  tags,
  params: withId('user'),
  auditTarget: { id: 'user' } as const,
  body: ref(UserUpdate),
  mergePatch: {
    operationId: 'patchUser',
    description:
      'The same as `updateUser`, as a JSON merge patch (RFC 7396). No property of a user can be cleared.'
  },
  response: { 200: answer('The updated user', User) },
  problems: [NotFound, EmailTaken, LastAdministrator]
}

export const deleteUser = {
  operationId: 'deleteUser',
  summary: 'Delete a user',
  description:
    "For administrators. Ends the user's sessions. You become the owner of their credential types; if you " +
    'delete yourself, the administrator who was created first does. Returns 409 if the user owns ' +
    'credentials (`user-owns-credentials`), is the only owner of a project (`last-owner`) or is the last ' +
    'administrator who can sign in (`last-administrator`).',
  tags,
  params: withId('user'),
  auditTarget: { id: 'user' } as const,
  response: { 200: answer('The user was deleted', Success) },
  problems: [NotFound, LastOwner, LastAdministrator, UserOwnsCredentials]
}
