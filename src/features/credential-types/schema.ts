import { type TSchema, Type } from '@sinclair/typebox'
import { READ, WRITE } from '../../auth/principal.ts'
import { IdempotencyHeaders } from '../../http/idempotency.ts'
import { NamedSortQuery, PageQuery, pageOf, SearchQuery, UpdatedSinceQuery } from '../../http/list-schemas.ts'
import {
  DecryptionFailedProblem,
  IdempotencyKeyReused,
  NameTaken,
  NotFound,
  TooManyTypes,
  TypeInUse
} from '../../http/problems.ts'
import {
  answer,
  closed,
  Description,
  Id,
  LocationHeader,
  MAX_FIELDS,
  Name,
  nullable,
  quantity,
  ref,
  ShownName,
  Success,
  Timestamp,
  withId
} from '../../http/schemas.ts'
import {
  apiKey,
  CredentialTypeField,
  CredentialTypeFieldCreate,
  CredentialTypeFieldUpdate,
  fieldId,
  host,
  region
} from './field-schema.ts'

const example = {
  id: '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12',
  typeName: 'Weather service',
  description: 'The account of the nightly report',
  builtIn: false,
  ownerId: '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f11',
  usageCount: 3,
  fields: [
    { id: fieldId, ...host, position: 0 },
    { id: '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f14', ...region, position: 1 }
  ],
  createdAt: '2026-11-21T10:15:30.000Z',
  updatedAt: '2026-11-21T10:15:30.000Z'
}

export const CredentialType = closed(
  {
    id: Id,
    typeName: ShownName,
    description: Description,
    builtIn: Type.Boolean({ description: 'Whether the type is built in. Built-in types cannot be changed' }),
    ownerId: nullable(Type.String({ format: 'uuid', description: 'Null for a built-in type' })),
    usageCount: quantity('The number of credentials of this type'),
    fields: Type.Array(ref(CredentialTypeField), {
      maxItems: MAX_FIELDS,
      description: 'The fields, in order'
    }),
    createdAt: Timestamp,
    updatedAt: Timestamp
  },
  { $id: 'CredentialType', examples: [example] }
)

export const CredentialTypePage = {
  ...pageOf('CredentialTypePage', CredentialType),
  examples: [{ data: [example], total: 1, page: 1, pageSize: 20, nextCursor: null }]
}

const list = <T extends TSchema>(entry: T) => Type.Array(ref(entry), { minItems: 1, maxItems: MAX_FIELDS })

export const CredentialTypeCreate = closed(
  {
    typeName: Name,
    description: Type.Optional(Description),
    fields: list(CredentialTypeFieldCreate)
  },
  {
    $id: 'CredentialTypeCreate',
    examples: [
      { typeName: example.typeName, description: example.description, fields: [host, region, apiKey] }
    ]
  }
)

export const CredentialTypeUpdate = closed(
  {
    typeName: Type.Optional(Name),
    description: Type.Optional(Description),
    fields: Type.Optional(list(CredentialTypeFieldUpdate))
  },
  {
    $id: 'CredentialTypeUpdate',
    examples: [{ description: null }, { fields: [{ fieldName: 'host', fieldLabel: 'Host name' }, apiKey] }]
  }
)

const tags = ['Credential types']

export const listCredentialTypes = {
  operationId: 'listCredentialTypes',
  summary: 'List credential types',
  description: 'All types: built-in types and the types of all users.',
  tags,
  scopes: READ,
  querystring: closed({ ...PageQuery, ...NamedSortQuery, ...SearchQuery, ...UpdatedSinceQuery }),
  response: { 200: answer('A page of types', CredentialTypePage) }
}

export const createCredentialType = {
  operationId: 'createCredentialType',
  summary: 'Create a credential type',
  description:
    'All users can see and use the type; only you and administrators can change it. Its fields can have up ' +
    'to 16 KiB as JSON. A user can have up to 200 types.',
  tags,
  scopes: WRITE,
  headers: IdempotencyHeaders,
  body: ref(CredentialTypeCreate),
  response: { 201: answer('The new type', CredentialType, LocationHeader) },
  problems: [NameTaken, TooManyTypes, IdempotencyKeyReused, DecryptionFailedProblem]
}

export const getCredentialType = {
  operationId: 'getCredentialType',
  summary: 'Get a credential type',
  description: 'Returns the type with its fields, in order. For all users.',
  tags,
  scopes: READ,
  params: withId('credential type'),
  auditTarget: { id: 'credential-type' } as const,
  response: { 200: answer('The type', CredentialType) },
  problems: [NotFound]
}

export const updateCredentialType = {
  operationId: 'updateCredentialType',
  summary: 'Update a credential type',
  description:
    'For its owner, and for administrators with a session. Built-in types cannot be changed. Absent ' +
    'properties keep their values.\n\n' +
    '`fields` is the complete list, in its new order:\n\n' +
    '- An entry with the `id` or `fieldName` of a field changes that field. Absent properties keep their ' +
    'values.\n' +
    '- Any other entry adds a field.\n' +
    '- A field without an entry is removed.\n\n' +
    'While credentials of the type exist, you get 409 `type-in-use` for a change that would make them ' +
    'invalid:\n\n' +
    '- removing a field that has values\n' +
    '- changing the type of a field that has values, removing one of its options, or making it not ' +
    'secret\n' +
    '- adding a required field, or making a field required, if a credential has no value for it\n\n' +
    'You get the same for a change that would give credentials of other users another meaning: a new ' +
    '`typeName`, or a new `fieldName` or `secret` of a field that has values. A new `pattern` applies only ' +
    'to values that are written later.',
  tags,
  scopes: WRITE,
  params: withId('credential type'),
  auditTarget: { id: 'credential-type' } as const,
  body: ref(CredentialTypeUpdate),
  mergePatch: {
    operationId: 'patchCredentialType',
    description:
      'The same as `updateCredentialType`, as a JSON merge patch (RFC 7396). `fields` is the complete list ' +
      'here too.'
  },
  response: { 200: answer('The updated type', CredentialType) },
  problems: [NotFound, NameTaken, TypeInUse]
}

export const deleteCredentialType = {
  operationId: 'deleteCredentialType',
  summary: 'Delete a credential type',
  description:
    'For its owner, and for administrators with a session. The type must have no credentials (409 ' +
    '`type-in-use`).',
  tags,
  scopes: WRITE,
  params: withId('credential type'),
  auditTarget: { id: 'credential-type' } as const,
  response: { 200: answer('The type was deleted', Success) },
  problems: [NotFound, TypeInUse]
}
