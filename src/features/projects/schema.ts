import { Type } from '@sinclair/typebox'
import { READ } from '../../auth/principal.ts'
import { PROJECT_ROLES } from '../../db/tables.ts'
import { IdempotencyHeaders } from '../../http/idempotency.ts'
import { NamedSortQuery, PageQuery, pageOf, SearchQuery, UpdatedSinceQuery } from '../../http/list-schemas.ts'
import {
  DecryptionFailedProblem,
  Forbidden,
  IdempotencyKeyReused,
  NameTaken,
  NotFound
} from '../../http/problems.ts'
import {
  answer,
  closed,
  Description,
  Id,
  LocationHeader,
  Name,
  namedEnum,
  ref,
  ShownName,
  Success,
  Timestamp,
  withId
} from '../../http/schemas.ts'

const mail = {
  id: '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12',
  name: 'Reports',
  description: 'The daily reports',
  role: 'owner',
  createdAt: '2026-11-21T10:15:30.000Z',
  updatedAt: '2026-11-21T10:15:30.000Z'
}

export const ProjectRole = namedEnum('ProjectRole', PROJECT_ROLES)

export const Project = closed(
  {
    id: Id,
    name: ShownName,
    description: Description,
    role: { ...ProjectRole, description: 'The role of the caller' },
    createdAt: Timestamp,
    updatedAt: Timestamp
  },
  { $id: 'Project', examples: [mail] }
)

export const ProjectPage = pageOf('ProjectPage', Project, [mail])

export const ProjectCreate = closed(
  { name: Name, description: Type.Optional(Description) },
  { $id: 'ProjectCreate', examples: [{ name: mail.name, description: mail.description }] }
)

export const ProjectUpdate = closed(
  { name: Type.Optional(Name), description: Type.Optional(Description) },
  { $id: 'ProjectUpdate', examples: [{ name: 'Morning reports' }, { description: null }] }
)

const tags = ['Projects']

export const listProjects = {
  operationId: 'listProjects',
  summary: 'List my projects',
  description: 'The projects of which you are a member.',
  tags,
  scopes: READ,
  querystring: closed({ ...PageQuery, ...NamedSortQuery, ...SearchQuery, ...UpdatedSinceQuery }),
  response: { 200: answer('A page of projects', ProjectPage) }
}

export const createProject = {
  operationId: 'createProject',
  summary: 'Create a project',
  description:
    'You become its owner. The names of the projects that you create must be unique (409 `name-taken`). In ' +
    'request bodies, you can use the name instead of the id.',
  tags,
  headers: IdempotencyHeaders,
  body: ref(ProjectCreate),
  response: { 201: answer('The new project', Project, LocationHeader) },
  problems: [NameTaken, IdempotencyKeyReused, DecryptionFailedProblem]
}

export const getProject = {
  operationId: 'getProject',
  summary: 'Get a project',
  description: 'For members of the project.',
  tags,
  scopes: READ,
  params: withId('project'),
  auditTarget: { id: 'project' } as const,
  response: { 200: answer('The project', Project) },
  problems: [Forbidden, NotFound]
}

export const updateProject = {
  operationId: 'updateProject',
  summary: 'Update a project',
  description:
    'For owners and admins of the project. Absent properties keep their values. The new name must be ' +
    'unique among the projects of the user who created this one (409 `name-taken`).',
  tags,
  params: withId('project'),
  auditTarget: { id: 'project' } as const,
  body: ref(ProjectUpdate),
  mergePatch: {
    operationId: 'patchProject',
    description:
      'The same as `updateProject`, as a JSON merge patch (RFC 7396). `null` clears the description.'
  },
  response: { 200: answer('The updated project', Project) },
  problems: [NotFound, NameTaken]
}

export const deleteProject = {
  operationId: 'deleteProject',
  summary: 'Delete a project',
  description:
    'For owners of the project. Deletes its tokens and its links to credentials, but no credentials.',
  tags,
  params: withId('project'),
  auditTarget: { id: 'project' } as const,
  response: { 200: answer('The project was deleted', Success) },
  problems: [NotFound]
}
