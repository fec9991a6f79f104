import { Type } from '@sinclair/typebox'
import { READ, WRITE } from '../../../auth/principal.ts'
import { MAX_ITEMS } from '../../../http/array-stream.ts'
import { IdempotencyHeaders } from '../../../http/idempotency.ts'
import { ArrayPageQuery, LinkHeader, SearchQuery } from '../../../http/list-schemas.ts'
import { refusalHeaders } from '../../../http/problem-schemas.ts'
import {
  answer,
  closed,
  Description,
  described,
  EnvironmentName,
  Id,
  MAX_URL_PART,
  nullable,
  ref,
  ShownName,
  withId
} from '../../../http/schemas.ts'
import { MAX_ENVIRONMENTS } from '../input.ts'

// Lightning's times have no fraction of a second.
const Time = Type.Unsafe<string>({ type: 'string', format: 'date-time', examples: ['2026-11-21T10:15:30Z'] })

const projectId = 'a1b2c3d4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
const example = {
  id: '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12',
  name: 'My API Key',
  schema: 'raw',
  external_id: null,
  user_id: '019a0b1c-2d3e-7f40-8a51-00000000000b',
  project_credentials: [
    {
      id: '019a0b1c-2d3e-7f40-8a51-00000000000d',
      project_id: projectId,
      credential_id: '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12',
      inserted_at: '2026-11-21T10:15:30Z',
      updated_at: '2026-11-21T10:15:30Z'
    }
  ],
  projects: [{ id: projectId, name: 'Reports', description: null }],
  inserted_at: '2026-11-21T10:15:30Z',
  updated_at: '2026-11-21T10:15:30Z'
}

const ProjectCredential = closed(
  { id: Id, project_id: Id, credential_id: Id, inserted_at: Time, updated_at: Time },
  { $id: 'LightningProjectCredential', examples: example.project_credentials }
)

const Project = closed(
  { id: Id, name: ShownName, description: Description },
  { $id: 'LightningProject', examples: example.projects }
)

const properties = {
  id: Id,
  name: ShownName,
  schema: described(ShownName, 'The credential type; of a `raw` credential, the schema it was created for'),
  external_id: nullable(Type.String({ maxLength: 200 })),
  user_id: Id,
  project_credentials: Type.Array(ref(ProjectCredential), { maxItems: 100 }),
  projects: Type.Array(ref(Project), { maxItems: 100 }),
  inserted_at: Time,
  updated_at: Time
}

export const Credential = closed(properties, { $id: 'LightningCredential', examples: [example] })

const Body = Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true })

const CreatedCredential = closed(
  { ...properties, body: Body },
  { $id: 'LightningCredentialCreated', examples: [{ ...example, body: { apiKey: 'secret123' } }] }
)

const noErrors = Type.Unsafe<Record<string, never>>({ type: 'object', additionalProperties: false })

export const CredentialList = closed(
  { credentials: Type.Array(ref(Credential), { maxItems: MAX_ITEMS }), errors: noErrors },
  { $id: 'LightningCredentialList', examples: [{ credentials: [example], errors: {} }] }
)

const CredentialAnswer = closed(
  { credential: ref(CreatedCredential), errors: noErrors },
  {
    $id: 'LightningCredentialAnswer',
    examples: [{ credential: { ...example, body: { apiKey: 'secret123' } }, errors: {} }]
  }
)

const EnvironmentBody = Type.Object(
  { name: EnvironmentName, body: Body },
  {
    $id: 'LightningEnvironmentBody',
    additionalProperties: true,
    examples: [{ name: 'staging', body: { apiKey: 'secret456' } }]
  }
)
const ProjectLink = Type.Object(
  { project_id: Id },
  { $id: 'LightningProjectLink', additionalProperties: true, examples: [{ project_id: projectId }] }
)

/**
 * For the document only. `input.ts` validates requests, because Lightning's clients send other properties too
 * and expect Lightning's messages.
 */
const NewCredential = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 200 }),
    body: Type.Optional(Body),
    credential_bodies: Type.Optional(
      Type.Array(ref(EnvironmentBody), {
        maxItems: MAX_ENVIRONMENTS,
        description: 'Values by environment; `body` is the environment `main`'
      })
    ),
    schema: Type.Optional(
      Type.String({
        maxLength: 200,
        default: 'raw',
        description: 'A credential type; a name that is none gives a `raw` credential, and is kept'
      })
    ),
    external_id: Type.Optional(nullable(Type.String({ maxLength: 200 }))),
    project_credentials: Type.Optional(Type.Array(ref(ProjectLink), { maxItems: 100 }))
  },
  {
    $id: 'LightningCredentialCreate',
    additionalProperties: true,
    examples: [
      { name: 'My API Key', body: { apiKey: 'secret123' } },
      {
        name: 'Shared Credential',
        body: { token: 'abc123' },
        project_credentials: [{ project_id: projectId }]
      }
    ]
  }
)

const Refusal = closed(
  { error: Type.String(), usages: Type.Optional(Type.Array(Type.String())) },
  { $id: 'LightningError', examples: [{ error: 'Forbidden' }] }
)

const Invalid = closed(
  {
    errors: Type.Unsafe<Record<string, string[]>>({
      type: 'object',
      additionalProperties: { type: 'array', items: { type: 'string' } }
    })
  },
  { $id: 'LightningInvalid', examples: [{ errors: { name: ["can't be blank"] } }] }
)

const TITLES: Record<number, string> = {
  400: 'The request cannot be read',
  401: 'No valid session or token',
  403: 'Not the caller’s, or not a member of the project',
  404: 'Not there, or a malformed id',
  409: 'In use by these consumers',
  413: 'The body is over 1 MiB, or the list over 10,000 credentials',
  415: 'The body is not `application/json` in UTF-8',
  500: 'A fault of the service',
  429: 'Too many requests; see `Retry-After`',
  503: 'The database is away or busy'
}

const refusals = (...statuses: number[]) =>
  Object.fromEntries(
    [...statuses, 400, 401, 403, 429, 500, 503].map((status) => [
      status,
      answer(TITLES[status]!, Refusal, refusalHeaders(status))
    ])
  )
const changeRefusals = (...statuses: number[]) => refusals(...statuses, 413, 415)
const invalid = answer('Invalid, by field', Invalid)

const tags = ['Lightning']
const loose = Type.Object({}, { additionalProperties: true })

const PagesOfList = { ...ArrayPageQuery, ...SearchQuery }

export const ListQuery = Type.Object(
  {
    project_id: Type.Optional(
      Type.Unsafe<string>({
        type: 'string',
        maxLength: MAX_URL_PART,
        description: 'The id of a project',
        examples: [projectId]
      })
    ),
    ...PagesOfList
  },
  { additionalProperties: true }
)

export const lightningListCredentials = {
  operationId: 'lightningListCredentials',
  summary: 'List credentials',
  description:
    'The caller’s own; with `project_id` all of that project, whoever owns them. By name; no bodies. All, ' +
    'and over 10,000 are refused (413); with `page`, `pageSize` or `cursor` one page, and the other pages ' +
    'in the header `Link`.',
  tags,
  scopes: READ,
  querystring: ListQuery,
  response: { 200: answer('The credentials', CredentialList, LinkHeader), ...refusals(404, 413) }
}

export const lightningListProjectCredentials = {
  operationId: 'lightningListProjectCredentials',
  summary: 'List the credentials of a project',
  description:
    'For its members. Whoever owns them, by name; no bodies. All, and over 10,000 are refused (413); with ' +
    '`page`, `pageSize` or `cursor` one page, and the other pages in the header `Link`.',
  tags,
  scopes: READ,
  params: withId('project'),
  auditTarget: { id: 'project' } as const,
  querystring: Type.Object(PagesOfList, { additionalProperties: true }),
  response: { 200: answer('The credentials', CredentialList, LinkHeader), ...refusals(404, 413) }
}

export const lightningCreateCredential = {
  operationId: 'lightningCreateCredential',
  summary: 'Create a credential',
  description:
    'The body is in this answer and in no other. With projects, the caller has to be owner, admin or ' +
    'editor in every one, or nothing ' +
    'is created. Unknown properties are ignored. The body is stored as it is, without defaults; texts such ' +
    'as "5432" and "true" are cast for a number or boolean field.',
  tags,
  scopes: WRITE,
  querystring: loose,
  headers: IdempotencyHeaders,
  body: ref(NewCredential),
  response: { 201: answer('Created', CredentialAnswer), 422: invalid, ...changeRefusals() }
}

export const lightningDeleteCredential = {
  operationId: 'lightningDeleteCredential',
  summary: 'Delete a credential',
  description: 'Its owner’s alone, and refused while consumers depend on it.',
  tags,
  scopes: WRITE,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  querystring: loose,
  response: { 204: { description: 'Deleted', type: 'null' }, ...changeRefusals(404, 409) }
}
