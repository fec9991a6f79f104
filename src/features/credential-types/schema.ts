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
  description: 'The account that the nightly report reads with',
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
    builtIn: Type.Boolean({ description: 'Whether it comes with the service; such a one never changes' }),
    ownerId: nullable(Type.String({ format: 'uuid', description: 'Null for a built-in one' })),
    usageCount: quantity('How many credentials are of this type'),
    fields: Type.Array(ref(CredentialTypeField), { maxItems: MAX_FIELDS, description: 'In their order' }),
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
  description: 'All that there are, whoever made them.',
  tags,
  scopes: READ,
  querystring: closed({ ...PageQuery, ...NamedSortQuery, ...SearchQuery, ...UpdatedSinceQuery }),
  response: { 200: answer('One page of types', CredentialTypePage) }
}

export const createCredentialType = {
  operationId: 'createCredentialType',
  summary: 'Create a credential type',
  description:
    'Everybody sees it; only the caller and administrators change it. Its fields, as JSON, have 16 KiB ' +
    'at the most, and a user has 200 types at the most.',
  tags,
  scopes: WRITE,
  headers: IdempotencyHeaders,
  body: ref(CredentialTypeCreate),
  response: { 201: answer('Created', CredentialType, LocationHeader) },
  problems: [NameTaken, TooManyTypes, IdempotencyKeyReused, DecryptionFailedProblem]
}

export const getCredentialType = {
  operationId: 'getCredentialType',
  summary: 'Get a credential type',
  description: 'With its fields, in their order. For everybody who is signed in.',
  tags,
  scopes: READ,
  params: withId('credential type'),
  auditTarget: { id: 'credential-type' } as const,
  response: { 200: answer('The type', CredentialType) },
  problems: [NotFound]
}

export const updateCredentialType = {
  operationId: 'updateCredentialType',
  summary: 'Change a credential type',
  description:
    'For its owner and, in person, administrators; built-in types never change. What is absent is ' +
    'kept.\n\n`fields` ' +
    'is the whole list, in its new order: an entry with an `id` changes that field and keeps what the ' +
    'entry does not say, one without adds a field, and a field that is not in the list is removed.\n\n' +
    'Refused (409 `type-in-use`) while credentials of the type would no longer fit: removing a field that ' +
    'has values, changing its type, making it no longer secret, removing one of its options, and adding a ' +
    'required field, or making one required, that some credential has no value for. So is what would ' +
    'change the meaning of credentials of others: another `typeName`, and another `fieldName` or `secret` ' +
    'of a field that has values in them. A new `pattern` is for values written from then on.',
  tags,
  scopes: WRITE,
  params: withId('credential type'),
  auditTarget: { id: 'credential-type' } as const,
  body: ref(CredentialTypeUpdate),
  mergePatch: {
    operationId: 'patchCredentialType',
    description:
      'A JSON merge patch (RFC 7396), as `updateCredentialType`: `fields` replaces the whole list, in ' +
      'which an entry with an `id` stands for that field and keeps what it does not say.'
  },
  response: { 200: answer('The type, changed', CredentialType) },
  problems: [NotFound, NameTaken, TypeInUse]
}

export const deleteCredentialType = {
  operationId: 'deleteCredentialType',
  summary: 'Delete a credential type',
  description: 'For its owner and, in person, administrators, while no credential is of this type.',
  tags,
  scopes: WRITE,
  params: withId('credential type'),
  auditTarget: { id: 'credential-type' } as const,
  response: { 200: answer('Deleted', Success) },
  problems: [NotFound, TypeInUse]
}
