import { Type } from '@sinclair/typebox'
import { USER_ROLES } from '../../db/tables.ts'
import { PageQuery, pageOf, sortQuery } from '../../http/list-schemas.ts'
import { InvalidCredentials, NotFound, TooManyAttempts, WrongPassword } from '../../http/problems.ts'
import {
  answer,
  closed,
  Email,
  Id,
  nullable,
  Password,
  ref,
  ShownName,
  Success,
  stringEnum,
  Timestamp,
  TypedPassword,
  withId
} from '../../http/schemas.ts'

const session = {
  id: '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12',
  createdAt: '2026-11-21T10:15:30.000Z',
  lastSeenAt: '2026-11-21T10:20:00.000Z',
  expiresAt: '2026-11-21T22:15:30.000Z'
}

const ann = { id: session.id, email: 'ann@example.org', name: 'Ann', role: 'user' }

export const SignIn = closed(
  { email: Email, password: TypedPassword },
  { $id: 'SignIn', examples: [{ email: 'admin@latchkey.local', password: 'your password' }] }
)

export const SignedInUser = closed(
  { id: Id, email: Email, name: ShownName, role: stringEnum(USER_ROLES) },
  { $id: 'SignedInUser', examples: [ann] }
)

export const Session = closed(
  { id: Id, createdAt: Timestamp, lastSeenAt: Timestamp, expiresAt: Timestamp },
  { $id: 'Session', examples: [session] }
)

export const CurrentSession = closed(
  { user: ref(SignedInUser), session: ref(Session) },
  {
    $id: 'CurrentSession',
    examples: [{ user: ann, session }]
  }
)

export const SessionOfMine = closed(
  {
    ...Session.properties,
    ip: Type.String({ description: 'The address from which the user signed in' }),
    userAgent: nullable(Type.String()),
    current: Type.Boolean({ description: 'Whether this is the session of the request' })
  },
  { $id: 'SessionOfMine', examples: [{ ...session, ip: '203.0.113.7', userAgent: 'Firefox', current: true }] }
)

export const SessionPage = pageOf('SessionPage', SessionOfMine, SessionOfMine.examples)

const SessionSortQuery = sortQuery('SessionSort', ['-createdAt', 'createdAt'])

export const PasswordChange = closed(
  { currentPassword: TypedPassword, newPassword: Password },
  {
    $id: 'PasswordChange',
    examples: [{ currentPassword: 'correct horse battery', newPassword: 'staple of another kind' }]
  }
)

const tags = ['Session']

export const createSession = {
  operationId: 'createSession',
  summary: 'Sign in',
  description:
    'Sign in with an e-mail address and a password. The response sets the session cookie. After too many ' +
    'failed attempts for the user or from your address, you get 429 until the time in `Retry-After` has ' +
    'passed.',
  tags,
  body: ref(SignIn),
  response: {
    200: answer('The user and the new session', CurrentSession, {
      'Set-Cookie': { type: 'string', description: 'The session cookie (HttpOnly, SameSite=Lax)' }
    })
  },
  problems: [InvalidCredentials, TooManyAttempts]
}

export const getSession = {
  operationId: 'getSession',
  summary: 'Get the current session',
  description: 'Returns the signed-in user and the session, with the time at which it ends.',
  tags,
  response: { 200: answer('The user and the session', CurrentSession) }
}

export const deleteSession = {
  operationId: 'deleteSession',
  summary: 'Sign out',
  description: 'Ends the session immediately, on every replica, and clears the cookie.',
  tags,
  response: { 200: answer('The session was ended', Success) }
}

export const listSessions = {
  operationId: 'listSessions',
  summary: 'List my sessions',
  description: 'Your active sessions, on all devices. `current` marks the session of the request.',
  tags,
  querystring: closed({ ...PageQuery, ...SessionSortQuery }),
  response: { 200: answer('A page of active sessions', SessionPage) }
}

export const endSession = {
  operationId: 'endSession',
  summary: 'End one of my sessions',
  description: 'Ends the session immediately, on every replica.',
  tags,
  params: withId('session'),
  auditTarget: { id: 'session' } as const,
  response: { 200: answer('The session was ended', Success) },
  problems: [NotFound]
}

export const changePassword = {
  operationId: 'changePassword',
  summary: 'Change my password',
  description: 'Ends your other sessions.',
  tags,
  body: ref(PasswordChange),
  response: { 200: answer('The password was changed', Success) },
  problems: [WrongPassword, TooManyAttempts]
}
