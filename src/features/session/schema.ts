import { Type } from '@sinclair/typebox'
import {
  answer,
  closed,
  Email,
  Id,
  nullable,
  Password,
  problemResponses,
  ref,
  Success,
  stringEnum,
  Timestamp,
  WithId
} from '../../schemas.ts'

const session = {
  id: '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12',
  createdAt: '2026-11-21T10:15:30.000Z',
  lastSeenAt: '2026-11-21T10:20:00.000Z',
  expiresAt: '2026-11-21T22:15:30.000Z'
}

export const SignIn = closed(
  { email: Email, password: Type.String({ minLength: 1, maxLength: 256 }) },
  { $id: 'SignIn', examples: [{ email: 'ann@example.org', password: 'correct horse battery' }] }
)

export const SignedInUser = closed(
  { id: Id, email: Email, name: Type.String(), role: stringEnum(['admin', 'user']) },
  { $id: 'SignedInUser' }
)

export const Session = closed(
  { id: Id, createdAt: Timestamp, lastSeenAt: Timestamp, expiresAt: Timestamp },
  { $id: 'Session', examples: [session] }
)

export const CurrentSession = closed(
  { user: ref(SignedInUser), session: ref(Session) },
  {
    $id: 'CurrentSession',
    examples: [{ user: { id: session.id, email: 'ann@example.org', name: 'Ann', role: 'user' }, session }]
  }
)

export const SessionOfMine = closed(
  {
    ...Session.properties,
    ip: Type.String({ description: 'Where it was started from' }),
    userAgent: nullable(Type.String()),
    current: Type.Boolean({ description: 'Whether it is the one that asks' })
  },
  { $id: 'SessionOfMine', examples: [{ ...session, ip: '203.0.113.7', userAgent: 'Firefox', current: true }] }
)

export const NewPassword = closed(
  { currentPassword: Type.String({ minLength: 1, maxLength: 256 }), newPassword: Password },
  {
    $id: 'NewPassword',
    examples: [{ currentPassword: 'correct horse battery', newPassword: 'staple of another kind' }]
  }
)

const tags = ['Session']

export const createSession = {
  operationId: 'createSession',
  summary: 'Sign in',
  tags,
  body: ref(SignIn),
  response: {
    200: answer('Signed in; the cookie is set', CurrentSession, {
      'set-cookie': { type: 'string', description: 'The session cookie: HttpOnly, SameSite=Lax' }
    }),
    ...problemResponses(401, 429)
  }
}

export const getSession = {
  operationId: 'getSession',
  summary: 'Who am I',
  tags,
  response: { 200: answer('The caller and the session', CurrentSession) }
}

export const deleteSession = {
  operationId: 'deleteSession',
  summary: 'Sign out',
  description: 'The session is dead at once, on every replica, and the cookie is cleared.',
  tags,
  response: { 200: answer('Signed out', Success) }
}

export const listSessions = {
  operationId: 'listSessions',
  summary: 'My sessions on all devices',
  tags,
  response: { 200: answer('The sessions that live, newest first', Type.Array(ref(SessionOfMine))) }
}

export const endSession = {
  operationId: 'endSession',
  summary: 'End one of my sessions',
  tags,
  params: WithId,
  response: { 200: answer('Ended', Success), ...problemResponses(404) }
}

export const changePassword = {
  operationId: 'changePassword',
  summary: 'Change my password',
  description: 'Ends my other sessions.',
  tags,
  body: ref(NewPassword),
  response: { 200: answer('Changed', Success), ...problemResponses(429) }
}
