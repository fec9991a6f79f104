import { type TSchema, Type } from '@sinclair/typebox'
import { READ, WRITE } from '../../auth/principal.ts'
import { FIELD_TYPES, JSON_SHAPES } from '../../db/tables.ts'
import { IdempotencyHeaders } from '../../http/idempotency.ts'
import { problemResponses } from '../../http/problem-schemas.ts'
import {
  answer,
  closed,
  Description,
  Id,
  Label,
  LocationHeader,
  MAX_FIELDS,
  Name,
  namedEnum,
  nullable,
  PageQuery,
  pageOf,
  quantity,
  ref,
  SearchQuery,
  ShownName,
  Success,
  Timestamp,
  WithId
} from '../../http/schemas.ts'

const host = {
  fieldName: 'host',
  fieldLabel: 'Host',
  fieldType: 'text',
  required: true,
  secret: false,
  pattern: '^[a-z0-9.-]{1,253}$'
}
const region = {
  fieldName: 'region',
  fieldLabel: 'Region',
  fieldType: 'select',
  required: false,
  secret: false,
  description: 'Where the account is kept',
  defaultValue: 'eu',
  options: ['eu', 'us']
}
const apiKey = { fieldName: 'apiKey', fieldLabel: 'API key', fieldType: 'password' }
const fieldId = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f13'

const fieldName = Type.String({
  maxLength: 64,
  pattern: '^[a-zA-Z][a-zA-Z0-9_]{0,63}$',
  description: 'Unique within the type, case counts',
  examples: ['apiKey']
})
const fieldLabel = Type.String({ ...Label, description: 'What people read', examples: ['API key'] })
const fieldType = namedEnum('FieldType', FIELD_TYPES, {
  description:
    'What a value has to be: `text`, `password` and `multiline` a string, `number` a number, `boolean` ' +
    'true or false, `url` an http(s) URL, `email` an e-mail address, `select` one of the options, `json` ' +
    'any JSON value but null; `constraints` may say more'
})
const required = Type.Boolean({ description: 'Whether a credential has to have a value here' })
const secret = Type.Boolean({
  description: 'Whether the value is shown to nobody but by `reveal` and `resolve`'
})
const defaultValue = (what: string) =>
  Type.Unknown({
    description: `${what}; has to fit the field, and a secret field has none, since everybody sees the types`,
    examples: ['eu']
  })
const options = Type.Array(Type.String({ minLength: 1, maxLength: 200 }), {
  minItems: 1,
  maxItems: 200,
  uniqueItems: true,
  description: 'The values of a `select`, which has to have them; of no other field type',
  examples: [['eu', 'us']]
})
const pattern = Type.String({
  minLength: 1,
  maxLength: 1000,
  description:
    'A regular expression in RE2 syntax (no look-around, no back-references), for `text`, `password`, ' +
    '`multiline`, `url` and `email`. It is searched for anywhere in the value, as in JSON Schema: anchor ' +
    'it with `^` and `$` to mean the whole. The patterns of a type may together compile to no more than ' +
    '2,500 RE2 instructions. With a pattern, a value has 4,096 characters at the most; the sum, over the ' +
    'values of a request, of characters times instructions is at most 400,000.',
  examples: ['^sk_[a-z0-9]{24}$']
})

const FieldConstraints = closed(
  {
    minimum: Type.Optional(Type.Number({ description: 'The smallest `number`', examples: [1] })),
    maximum: Type.Optional(Type.Number({ description: 'The largest `number`', examples: [65_535] })),
    integer: Type.Optional(Type.Boolean({ description: 'Whether a `number` has to be a whole one' })),
    schemes: Type.Optional(
      Type.Array(Type.String({ pattern: '^[a-z][a-z0-9+.-]{0,31}$', examples: ['sftp'] }), {
        minItems: 1,
        maxItems: 20,
        uniqueItems: true,
        description: 'The schemes that a `url` may have; `http` and `https` if absent'
      })
    ),
    shape: Type.Optional(
      namedEnum('JsonShape', JSON_SHAPES, {
        description:
          'What a `json` value has to be: an `object`, or `object-or-text`: an object, or a text that is ' +
          'the JSON of one. It comes out as it went in; any JSON value but null if absent'
      })
    )
  },
  {
    $id: 'FieldConstraints',
    description:
      'What a value has to fulfil besides its type: `minimum`, `maximum` and `integer` of a `number`, ' +
      '`schemes` of a `url`, `shape` of a `json`. For values written from then on; `{}` removes them',
    examples: [{ minimum: 1, maximum: 65_535, integer: true }]
  }
)

export const CredentialTypeField = closed(
  {
    id: Id,
    fieldName,
    fieldLabel,
    fieldType,
    required,
    secret,
    description: Type.Optional(Type.String({ maxLength: 2000 })),
    defaultValue: Type.Optional(defaultValue('The value that a new credential begins with')),
    options: Type.Optional(options),
    pattern: Type.Optional(pattern),
    constraints: Type.Optional(ref(FieldConstraints)),
    position: Type.Integer({
      format: 'int32',
      minimum: 0,
      maximum: MAX_FIELDS - 1,
      description: 'Its place in the list'
    })
  },
  { $id: 'CredentialTypeField', examples: [{ id: fieldId, ...host, position: 0 }] }
)

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
  examples: [{ data: [example], total: 1, page: 1, pageSize: 20 }]
}

/** Properties that `null` removes in an update, and omits in a create. */
const optional = {
  description: Type.Optional(Description),
  defaultValue: Type.Optional(defaultValue('The value that a new credential begins with; null for none')),
  options: Type.Optional(nullable(options)),
  pattern: Type.Optional(nullable(pattern)),
  constraints: Type.Optional(ref(FieldConstraints))
}

export const CredentialTypeFieldCreate = closed(
  {
    fieldName,
    fieldLabel,
    fieldType,
    required: Type.Optional({ ...required, default: true }),
    secret: Type.Optional({
      ...secret,
      description:
        `${secret.description}; true if not said, except for ` +
        '`boolean`, `number`, `select`, `url` and `email`'
    }),
    ...optional
  },
  { $id: 'CredentialTypeFieldCreate', examples: [apiKey, region] }
)

export const CredentialTypeFieldUpdate = closed(
  {
    id: Type.Optional({
      ...Id,
      description: 'Of the field that this entry changes; without it, it is a new one'
    }),
    fieldName: Type.Optional(fieldName),
    fieldLabel: Type.Optional(fieldLabel),
    fieldType: Type.Optional(fieldType),
    required: Type.Optional(required),
    secret: Type.Optional(secret),
    ...optional,
    position: Type.Optional(
      Type.Integer({
        format: 'int64',
        description: 'Passed over, so that what was read can be sent back: the order of the list counts'
      })
    )
  },
  {
    $id: 'CredentialTypeFieldUpdate',
    description:
      'With an `id` it keeps what is absent and `null` clears; without, it is as in a new type: ' +
      '`fieldName`, `fieldLabel` and `fieldType` are required',
    examples: [{ id: fieldId, fieldLabel: 'Host name' }, apiKey]
  }
)

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
    examples: [{ description: null }, { fields: [{ id: fieldId, fieldLabel: 'Host name' }, apiKey] }]
  }
)

const tags = ['Credential types']

export const listCredentialTypes = {
  operationId: 'listCredentialTypes',
  summary: 'List credential types',
  description: 'All that there are, whoever made them, newest first.',
  tags,
  scopes: READ,
  querystring: closed({ ...PageQuery, ...SearchQuery }),
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
  response: { 201: answer('Created', CredentialType, LocationHeader), ...problemResponses(409, 422) }
}

export const getCredentialType = {
  operationId: 'getCredentialType',
  summary: 'Get a credential type',
  description: 'With its fields, in their order. For everybody who is signed in.',
  tags,
  scopes: READ,
  params: WithId,
  auditTarget: { id: 'credential-type' } as const,
  response: { 200: answer('The type', CredentialType), ...problemResponses(404) }
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
  params: WithId,
  auditTarget: { id: 'credential-type' } as const,
  body: ref(CredentialTypeUpdate),
  response: { 200: answer('The type, changed', CredentialType), ...problemResponses(404, 409) }
}

export const deleteCredentialType = {
  operationId: 'deleteCredentialType',
  summary: 'Delete a credential type',
  description: 'For its owner and, in person, administrators, while no credential is of this type.',
  tags,
  scopes: WRITE,
  params: WithId,
  auditTarget: { id: 'credential-type' } as const,
  response: { 200: answer('Deleted', Success), ...problemResponses(404, 409) }
}
