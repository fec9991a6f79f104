import { Type } from '@sinclair/typebox'
import { READ } from '../../auth/principal.ts'
import { IdempotencyHeaders } from '../../http/idempotency.ts'
import { PageQuery, pageOf, SearchQuery, sortQuery } from '../../http/list-schemas.ts'
import {
  AlreadyMember,
  DecryptionFailedProblem,
  Forbidden,
  IdempotencyKeyReused,
  LastOwner,
  NotFound,
  TooManyMembers
} from '../../http/problems.ts'
import {
  answer,
  closed,
  Email,
  Id,
  LocationHeader,
  pathId,
  ref,
  ShownName,
  Success,
  Timestamp,
  withId
} from '../../http/schemas.ts'
import { ProjectRole } from './schema.ts'

const ann = {
  userId: '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12',
  email: 'ann@example.org',
  name: 'Ann',
  role: 'editor',
  createdAt: '2026-11-21T10:15:30.000Z'
}

export const ProjectMember = closed(
  { userId: Id, email: Email, name: ShownName, role: ProjectRole, createdAt: Timestamp },
  { $id: 'ProjectMember', examples: [ann] }
)

export const ProjectMemberPage = pageOf('ProjectMemberPage', ProjectMember, [ann])

const MemberSortQuery = sortQuery('MemberSort', ['createdAt', '-createdAt', 'name', '-name'])

export const ProjectMemberCreate = closed(
  { email: Email, role: ProjectRole },
  { $id: 'ProjectMemberCreate', examples: [{ email: ann.email, role: ann.role }] }
)

export const ProjectMemberUpdate = closed(
  { role: ProjectRole },
  { $id: 'ProjectMemberUpdate', examples: [{ role: 'admin' }] }
)

const WithMember = Type.Object({
  id: pathId('project'),
  userId: pathId('member')
})

const tags = ['Projects']

export const listProjectMembers = {
  operationId: 'listProjectMembers',
  summary: 'List the members of a project',
  description: 'For members of the project. By default in the order in which they were added.',
  tags,
  scopes: READ,
  params: withId('project'),
  auditTarget: { id: 'project' } as const,
  querystring: closed({ ...PageQuery, ...MemberSortQuery, ...SearchQuery }),
  response: {
    200: answer('A page of members', ProjectMemberPage)
  },
  problems: [Forbidden, NotFound]
}

export const addProjectMember = {
  operationId: 'addProjectMember',
  summary: 'Add a member to a project',
  description:
    'For owners and admins of the project. Only an owner can add another owner. If no user has the e-mail ' +
    'address, you get 400 with the code `unknown-user` in `errors`; if the user is already a member, 409 ' +
    '`already-member`.',
  tags,
  params: withId('project'),
  auditTarget: { id: 'project' } as const,
  headers: IdempotencyHeaders,
  body: ref(ProjectMemberCreate),
  response: { 201: answer('The new member', ProjectMember, LocationHeader) },
  problems: [NotFound, AlreadyMember, TooManyMembers, IdempotencyKeyReused, DecryptionFailedProblem]
}

export const changeProjectMember = {
  operationId: 'changeProjectMember',
  summary: 'Change the role of a member',
  description:
    'For owners and admins of the project. Only an owner can make a member an owner, or change the role of ' +
    'an owner. The last owner must stay an owner (409 `last-owner`).',
  tags,
  params: WithMember,
  auditTarget: { id: 'project' } as const,
  body: ref(ProjectMemberUpdate),
  response: { 200: answer('The updated member', ProjectMember) },
  problems: [NotFound, LastOwner]
}

export const removeProjectMember = {
  operationId: 'removeProjectMember',
  summary: 'Remove a member from a project, or leave it',
  description:
    'For owners and admins of the project. Only an owner can remove another owner. Every member can leave, ' +
    'except the last owner (409 `last-owner`).',
  tags,
  params: WithMember,
  auditTarget: { id: 'project' } as const,
  response: { 200: answer('The member was removed', Success) },
  problems: [NotFound, LastOwner]
}
