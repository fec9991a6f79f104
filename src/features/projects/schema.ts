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
  description: 'The numbers of the day',
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
    role: { ...ProjectRole, description: "The caller's" },
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
  description: 'Those that the caller is a member of.',
  tags,
  scopes: READ,
  querystring: closed({ ...PageQuery, ...NamedSortQuery, ...SearchQuery, ...UpdatedSinceQuery }),
  response: { 200: answer('One page of projects', ProjectPage) }
}

export const createProject = {
  operationId: 'createProject',
  summary: 'Create a project',
  description:
    'The caller becomes its owner and holds its name: an owner has each name once (409 `name-taken`).',
  tags,
  headers: IdempotencyHeaders,
  body: ref(ProjectCreate),
  response: { 201: answer('Created', Project, LocationHeader) },
  problems: [NameTaken, IdempotencyKeyReused, DecryptionFailedProblem]
}

export const getProject = {
  operationId: 'getProject',
  summary: 'Get a project',
  description: 'For its members.',
  tags,
  scopes: READ,
  params: withId('project'),
  auditTarget: { id: 'project' } as const,
  response: { 200: answer('The project', Project) },
  problems: [Forbidden, NotFound]
}

export const updateProject = {
  operationId: 'updateProject',
  summary: 'Change a project',
  description:
    'For its owners and admins. What is absent is kept. Whoever holds the name holds the new one (409 ' +
    '`name-taken`).',
  tags,
  params: withId('project'),
  auditTarget: { id: 'project' } as const,
  body: ref(ProjectUpdate),
  mergePatch: {
    operationId: 'patchProject',
    description: 'A JSON merge patch (RFC 7396). For its owners and admins. `null` clears the description.'
  },
  response: { 200: answer('The project, changed', Project) },
  problems: [NotFound, NameTaken]
}

export const deleteProject = {
  operationId: 'deleteProject',
  summary: 'Delete a project',
  description: 'For its owners. Its links to credentials go with it; the credentials stay.',
  tags,
  params: withId('project'),
  auditTarget: { id: 'project' } as const,
  response: { 200: answer('Deleted', Success) },
  problems: [NotFound]
}
