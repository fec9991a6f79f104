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

/** Sorted by `expiresAt`, a credential without an expiry comes last. */
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
  credentialTypeId: Type.Optional(described(Id, 'Only credentials of this type')),
  ...SearchQuery,
  expiresFrom: Type.Optional(described(Timestamp, 'Only credentials that expire at this time or later')),
  expiresBefore: Type.Optional(described(Timestamp, 'Only credentials that expire before this time')),
  ...UpdatedSinceQuery
}

const tags = ['App credentials']

export const listAppCredentials = {
  operationId: 'listAppCredentials',
  summary: 'List my credentials',
  description:
    'The credentials that you own, without any values, not even non-secret ones. To list what expires in ' +
    'January, for example: ' +
    '`expiresFrom=2027-01-01T00:00:00Z&expiresBefore=2027-02-01T00:00:00Z&sort=expiresAt`.',
  tags,
  scopes: READ,
  querystring: closed({
    ...CredentialFilter,
    ...PageQuery,
    ...CredentialSortQuery,
    projectId: Type.Optional(
      described(Id, 'Only credentials in this project. If you are not a member of it, the list is empty')
    )
  }),
  response: { 200: answer('A page of credentials', AppCredentialPage) }
}

export const createAppCredential = {
  operationId: 'createAppCredential',
  summary: 'Create a credential',
  description:
    'You become the owner. Values are encrypted before they are stored. Fields without a value get their ' +
    'default. If you send projects, you must be an editor or above in each of them; otherwise nothing is ' +
    'created.',
  tags,
  scopes: WRITE,
  headers: IdempotencyHeaders,
  body: ref(AppCredentialCreate),
  response: {
    201: answer('The new credential', AppCredential, { ...ETagHeader, ...LocationHeader })
  },
  problems: [NotFound, NameTaken, AmbiguousName, IdempotencyKeyReused, DecryptionFailedProblem]
}

export const getAppCredential = {
  operationId: 'getAppCredential',
  summary: 'Get a credential',
  description: 'For the owner, and for members of its projects. Returns the values that are not secret.',
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
    'For the owner. Absent properties and values keep what is stored. `projects` or `projectIds` replaces ' +
    'all links. The type cannot be changed.\n\n' +
    'A value in `values` or `keys` replaces the stored one, with these exceptions:\n\n' +
    '- `null` clears the value of an optional field.\n' +
    '- `""` keeps the value of a secret field. In an optional `number`, `boolean` or `select` field, it ' +
    'clears the value.',
  tags,
  scopes: WRITE,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  headers: IfMatch,
  body: ref(AppCredentialUpdate),
  mergePatch: {
    operationId: 'patchAppCredential',
    description:
      'The same as `updateAppCredential`, as a JSON merge patch (RFC 7396) and without `keys`. Objects are ' +
      'merged: `values`, and the values of `json` fields in it. Arrays are replaced.',
    body: ref(AppCredentialPatch)
  },
  response: { 200: answer('The updated credential', AppCredential, ETagHeader) },
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
  description:
    'For the owner. Deletes the credential with its values and links permanently. While consumers depend ' +
    'on it, you get 409 `credential-in-use`.',
  tags,
  scopes: WRITE,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  headers: IfMatch,
  response: { 200: answer('The credential was deleted', Success) },
  problems: [NotFound, CredentialInUse, RevisionChanged]
}

export const assignProjects = {
  operationId: 'assignProjects',
  summary: 'Assign a credential to projects',
  description:
    'For the owner. Replaces all links of the credential. To add a project, you must be an editor or above ' +
    'in it; otherwise nothing changes. Links that remain keep their `createdAt`.',
  tags,
  scopes: WRITE,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  headers: IfMatch,
  body: ref(ProjectIds),
  response: {
    200: answer('The links of the credential', Type.Array(ref(Assignment), { maxItems: 100 }), ETagHeader)
  },
  problems: [NotFound, AmbiguousName, RevisionChanged, DecryptionFailedProblem]
}

export const listCredentialsByProject = {
  operationId: 'listCredentialsByProject',
  summary: 'List the credentials of a project',
  description:
    'For members and project tokens of the project. Returns the credentials of all owners, without values. ' +
    'Without paging parameters, the array contains up to 10,000 credentials; more return 413 ' +
    '`answer-too-large`. With `page`, `pageSize` or `cursor`, it contains one page, and the `Link` header ' +
    'contains the other pages.',
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
  summary: 'Remove a credential from a project',
  description:
    'For admins and owners of the project, even if another user owns the credential. The credential is ' +
    'not deleted.',
  tags,
  scopes: WRITE,
  params: Type.Object({ projectId: pathId('project'), id: pathId('credential') }),
  auditTarget: { id: 'credential', projectId: 'project' } as const,
  response: { 200: answer('The credential was removed from the project', Success) },
  problems: [NotFound]
}

export const revealAppCredential = {
  operationId: 'revealAppCredential',
  summary: 'Reveal the values of a credential',
  description:
    'Only for the owner. Returns the values of one environment, `main` by default, including secret ones. ' +
    'The audit log records the read.',
  tags,
  scopes: REVEAL,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  body: ref(Reveal),
  response: { 200: answer('The values', Revealed) },
  problems: [NotFound, EnvironmentNotConfigured, DecryptionFailedProblem]
}
