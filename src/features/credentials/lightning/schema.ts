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
  schema: described(
    ShownName,
    'The credential type or, for a `raw` credential, the schema it was created for'
  ),
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
        description: 'Values by environment. `body` contains the values of the environment `main`'
      })
    ),
    schema: Type.Optional(
      Type.String({
        maxLength: 200,
        default: 'raw',
        description: 'A credential type. Any other name creates a `raw` credential and is stored with it'
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
  401: 'The request has no valid session or token',
  403: 'The credential belongs to another user, or the caller is not a member of the project',
  404: 'The resource does not exist, or the id is malformed',
  409: 'The consumers in `usages` depend on the credential',
  413: 'The body is larger than 1 MiB, or the list has more than 10,000 credentials',
  415: 'The body is not `application/json` in UTF-8',
  500: 'An unexpected error occurred',
  429: 'Too many requests; see `Retry-After`',
  503: 'The database is unavailable or busy'
}

const refusals = (...statuses: number[]) =>
  Object.fromEntries(
    [...statuses, 400, 401, 403, 429, 500, 503].map((status) => [
      status,
      answer(TITLES[status]!, Refusal, refusalHeaders(status))
    ])
  )
const changeRefusals = (...statuses: number[]) => refusals(...statuses, 413, 415)
const invalid = answer('The request is invalid; errors by field', Invalid)

const tags = ['Lightning']
const loose = Type.Object({}, { additionalProperties: true })

const PAGING =
  'Without paging parameters, the list contains up to 10,000 credentials; more return 413. With `page`, ' +
  '`pageSize` or `cursor`, it contains one page, and the `Link` header contains the other pages.'

const PagesOfList = { ...ArrayPageQuery, ...SearchQuery }

export const ListQuery = Type.Object(
  {
    project_id: Type.Optional(
      Type.Unsafe<string>({
        type: 'string',
        maxLength: MAX_URL_PART,
        description: 'Only credentials in the project with this id',
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
    'The credentials that you own or, with `project_id`, all credentials of that project. Sorted by name, ' +
    `without bodies. ${PAGING}`,
  tags,
  scopes: READ,
  querystring: ListQuery,
  response: { 200: answer('The credentials', CredentialList, LinkHeader), ...refusals(404, 413) }
}

export const lightningListProjectCredentials = {
  operationId: 'lightningListProjectCredentials',
  summary: 'List the credentials of a project',
  description:
    'For members of the project. Returns the credentials of all owners, sorted by name, without bodies. ' +
    PAGING,
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
    'Only this response contains the body. If you send projects, you must be an editor or above in each of ' +
    'them; otherwise nothing is created. Unknown properties are ignored. The body is stored as sent, ' +
    'without defaults, except that strings such as "5432" and "true" are converted for number and boolean ' +
    'fields.',
  tags,
  scopes: WRITE,
  querystring: loose,
  headers: IdempotencyHeaders,
  body: ref(NewCredential),
  response: { 201: answer('The new credential', CredentialAnswer), 422: invalid, ...changeRefusals() }
}

export const lightningDeleteCredential = {
  operationId: 'lightningDeleteCredential',
  summary: 'Delete a credential',
  description: 'For the owner. While consumers depend on the credential, you get 409.',
  tags,
  scopes: WRITE,
  params: withId('credential'),
  auditTarget: { id: 'credential' } as const,
  querystring: loose,
  response: { 204: { description: 'The credential was deleted', type: 'null' }, ...changeRefusals(404, 409) }
}
