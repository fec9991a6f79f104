import { Type } from '@sinclair/typebox'
import { READ, REVEAL, WRITE } from '../../../auth/principal.ts'
import { MAX_ITEMS } from '../../../http/array-stream.ts'
import { IdempotencyHeaders } from '../../../http/idempotency.ts'
import {
  ArrayPageQuery,
  LinkHeader,
  PageQuery,
  SearchQuery,
  sortQuery,
  UpdatedSinceQuery
} from '../../../http/list-schemas.ts'
import {
  AmbiguousName,
  AnswerTooLarge,
  CredentialInUse,
  DecryptionFailedProblem,
  EnvironmentNotConfigured,
  Forbidden,
  IdempotencyKeyReused,
  NameTaken,
  NotFound,
  RevisionChanged,
  TooManyEnvironments
} from '../../../http/problems.ts'
import {
  answer,
  closed,
  described,
  ETagHeader,
  Id,
  LocationHeader,
  pathId,
  ref,
  Success,
  Timestamp,
  withId
} from '../../../http/schemas.ts'

import {
  AppCredential,
  AppCredentialCreate,
  AppCredentialItem,
  AppCredentialPage,
  AppCredentialPatch,
  AppCredentialUpdate,
  Assignment,
  IfMatch,
  ProjectIds,
  Reveal,
  Revealed
} from './resource-schema.ts'

/** A credential that never expires is sorted as the last to expire. */
const CredentialSortQuery = sortQuery('CredentialSort', [
  '-createdAt',
  'createdAt',
  'name',
  '-name',
  'updatedAt',
  '-updatedAt',
  'expiresAt',
  '-expiresAt'
])

const CredentialFilter = {
  credentialTypeId: Type.Optional(described(Id, 'Those of this type')),
  ...SearchQuery,
  expiresFrom: Type.Optional(described(Timestamp, 'Those that expire at this time or later')),
  expiresBefore: Type.Optional(described(Timestamp, 'Those that expire before this time')),
  ...UpdatedSinceQuery
}

const tags = ['App credentials']

export const listAppCredentials = {
  operationId: 'listAppCredentials',
  summary: 'List my credentials',
  description:
    'No values, not even those that are not secret. What expires in January: ' +
    '`expiresFrom=2027-01-01T00:00:00Z&expiresBefore=2027-02-01T00:00:00Z&sort=expiresAt`.',
  tags,
  scopes: READ,
  querystring: closed({
    ...CredentialFilter,
    ...PageQuery,
    ...CredentialSortQuery,
    projectId: Type.Optional(described(Id, 'Those in this project; none if the caller is not a member of it'))
  }),
  response: { 200: answer('One page', AppCredentialPage) }
}

export const createAppCredential = {
  operationId: 'createAppCredential',
  summary: 'Create a credential',
  description:
    'One request is enough: `{"credentialName": "Weather", "credentialType": "api-key", "values": ' +
    '{"apiKey": "…"}}`. The values are encrypted before they are stored. Fields without a value get their ' +
    'default. With projects, all are linked or nothing is created.',
  tags,
  scopes: WRITE,
  headers: IdempotencyHeaders,
  body: ref(AppCredentialCreate),
  response: {
    201: answer('Created', AppCredential, { ...ETagHeader, ...LocationHeader })
  },
  problems: [NotFound, NameTaken, AmbiguousName, IdempotencyKeyReused, DecryptionFailedProblem]
}

export const getAppCredential = {
  operationId: 'getAppCredential',
  summary: 'Get a credential',
  description: 'For its owner and for members of its projects. Secret values are not decrypted.',
  tags,
  scopes: READ,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  response: { 200: answer('The credential', AppCredential, ETagHeader) },
  problems: [NotFound, DecryptionFailedProblem]
}

export const updateAppCredential = {
  operationId: 'updateAppCredential',
  summary: 'Update a credential',
  description:
    'What is absent stays. A value in `values` or `keys` is replaced, one not sent stays; `null` clears an ' +
    'optional one; `""` keeps the value of a secret field, is a value of an optional text, url or e-mail ' +
    'that is not secret, and clears any other optional one. `projects` or `projectIds` replaces the whole ' +
    'set. The type cannot change.',
  tags,
  scopes: WRITE,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  headers: IfMatch,
  body: ref(AppCredentialUpdate),
  mergePatch: {
    operationId: 'patchAppCredential',
    description:
      'A JSON merge patch (RFC 7396): what is absent stays, `null` clears, an object is merged (`values`, ' +
      'and in it the values of json fields), and an array replaces the whole. As `updateAppCredential`, ' +
      'without `keys`: an array of which each entry changes one value is no merge patch. `""` keeps the ' +
      'value of a secret field, as forms send it.',
    body: ref(AppCredentialPatch)
  },
  response: { 200: answer('As it is now', AppCredential, ETagHeader) },
  problems: [
    NotFound,
    NameTaken,
    AmbiguousName,
    TooManyEnvironments,
    RevisionChanged,
    DecryptionFailedProblem
  ]
}

export const deleteAppCredential = {
  operationId: 'deleteAppCredential',
  summary: 'Delete a credential',
  description: 'With its values and links, for good. Refused while consumers depend on it.',
  tags,
  scopes: WRITE,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  headers: IfMatch,
  response: { 200: answer('Deleted', Success) },
  problems: [NotFound, CredentialInUse, RevisionChanged]
}

export const assignProjects = {
  operationId: 'assignProjects',
  summary: 'Assign a credential to projects',
  description:
    'Replaces the whole set: all or nothing. Adding takes the role editor or above in the project; links ' +
    'that stay keep ' +
    'their `createdAt`.',
  tags,
  scopes: WRITE,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  headers: IfMatch,
  body: ref(ProjectIds),
  response: {
    200: answer('The links as they are now', Type.Array(ref(Assignment), { maxItems: 100 }), ETagHeader)
  },
  problems: [NotFound, AmbiguousName, RevisionChanged, DecryptionFailedProblem]
}

export const listCredentialsByProject = {
  operationId: 'listCredentialsByProject',
  summary: 'Get the credentials of a project',
  description:
    'For its members. Whoever owns them; no values. All that the filters select, and over 10,000 of these ' +
    'are refused (413 `answer-too-large`); with `page`, `pageSize` or `cursor` one page of them, and the ' +
    'other pages in the header `Link`.',
  tags,
  scopes: READ,
  params: Type.Object({ projectId: pathId('project') }),
  auditTarget: { projectId: 'project' } as const,
  querystring: closed({ ...CredentialFilter, ...ArrayPageQuery, ...CredentialSortQuery }),
  response: {
    200: answer('The credentials', Type.Array(ref(AppCredentialItem), { maxItems: MAX_ITEMS }), LinkHeader)
  },
  problems: [Forbidden, NotFound, AnswerTooLarge]
}

export const removeCredentialFromProject = {
  operationId: 'removeCredentialFromProject',
  summary: 'Take a credential out of a project',
  description: 'For admins and owners of the project, whoever owns the credential, which itself stays.',
  tags,
  scopes: WRITE,
  params: Type.Object({ projectId: pathId('project'), id: pathId('credential') }),
  auditTarget: { id: 'credential', projectId: 'project' } as const,
  response: { 200: answer('It is out', Success) },
  problems: [NotFound]
}

export const revealAppCredential = {
  operationId: 'revealAppCredential',
  summary: 'Reveal the values of a credential',
  description: 'For its owner alone. The one operation for people that decrypts secrets.',
  tags,
  scopes: REVEAL,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  body: ref(Reveal),
  response: { 200: answer('The values', Revealed) },
  problems: [NotFound, EnvironmentNotConfigured, DecryptionFailedProblem]
}
