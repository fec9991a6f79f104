import { Type } from '@sinclair/typebox'
import { FIELD_TYPES, JSON_SHAPES } from '../../db/tables.ts'
import { closed, Description, Id, Label, MAX_FIELDS, namedEnum, nullable, ref } from '../../http/schemas.ts'

// The fields of a type. `schema.ts` has the types and the operations.

export const host = {
  fieldName: 'host',
  fieldLabel: 'Host',
  fieldType: 'text',
  required: true,
  secret: false,
  pattern: '^[a-z0-9.-]{1,253}$'
}
export const region = {
  fieldName: 'region',
  fieldLabel: 'Region',
  fieldType: 'select',
  required: false,
  secret: false,
  description: 'The region of the account',
  defaultValue: 'eu',
  options: ['eu', 'us']
}
export const apiKey = { fieldName: 'apiKey', fieldLabel: 'API key', fieldType: 'password' }
export const fieldId = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f13'

const fieldName = Type.String({
  maxLength: 64,
  pattern: '^[a-zA-Z][a-zA-Z0-9_]{0,63}$',
  expected: 'a letter, then up to 63 letters, digits and _',
  description: 'The name of the field, unique within the type. Case-sensitive',
  examples: ['apiKey']
})
const fieldLabel = Type.String({
  ...Label,
  description: 'The label of the field in forms',
  examples: ['API key']
})
const fieldType = namedEnum('FieldType', FIELD_TYPES, {
  description:
    'Values are strings for `text`, `password` and `multiline`, numbers for `number`, true or false for ' +
    '`boolean`, URLs for `url`, e-mail addresses for `email`, one of `options` for `select`, and any JSON ' +
    'except null for `json`'
})
const required = Type.Boolean({ description: 'Whether every credential must have a value for the field' })
const secret = Type.Boolean({
  description: 'Whether only `reveal` and `resolve` return the value'
})
const defaultValue = (what: string) =>
  Type.Unknown({
    description: `${what}. It must be valid for the field. A secret field cannot have one`,
    examples: ['eu']
  })
const options = Type.Array(Type.String({ minLength: 1, maxLength: 200 }), {
  minItems: 1,
  maxItems: 200,
  uniqueItems: true,
  description: 'The allowed values. Required for `select`; not allowed for other field types',
  examples: [['eu', 'us']]
})
const pattern = Type.String({
  minLength: 1,
  maxLength: 1000,
  description:
    'A regular expression in RE2 syntax (no look-around, no back-references), for `text`, `password`, ' +
    '`multiline`, `url` and `email`. It matches any part of the value, as in JSON Schema; use `^` and `$` ' +
    'to match all of it. Limits: 2,500 RE2 instructions for the patterns of a type, 4,096 characters for a ' +
    'value, and 400,000 for the sum of characters times instructions in a request.',
  examples: ['^sk_[a-z0-9]{24}$']
})

const FieldConstraints = closed(
  {
    minimum: Type.Optional(Type.Number({ description: 'The minimum of a `number`', examples: [1] })),
    maximum: Type.Optional(Type.Number({ description: 'The maximum of a `number`', examples: [65_535] })),
    integer: Type.Optional(Type.Boolean({ description: 'Whether a `number` must be a whole number' })),
    schemes: Type.Optional(
      Type.Array(
        Type.String({
          pattern: '^[a-z][a-z0-9+.-]{0,31}$',
          expected: 'a lowercase letter, then up to 31 of a-z, 0-9, +, . and -',
          examples: ['sftp']
        }),
        {
          minItems: 1,
          maxItems: 20,
          uniqueItems: true,
          description: 'The allowed schemes of a `url`; `http` and `https` by default'
        }
      )
    ),
    shape: Type.Optional(
      namedEnum('JsonShape', JSON_SHAPES, {
        description:
          'The shape of a `json` value: `object`, or `object-or-text` for an object or a string that ' +
          'contains the JSON of one, which is stored and returned as sent. By default, any JSON value ' +
          'except null'
      })
    )
  },
  {
    $id: 'FieldConstraints',
    description:
      'Restrictions in addition to the type: `minimum`, `maximum` and `integer` for `number`, `schemes` ' +
      'for `url`, and `shape` for `json`. They apply to values that are written later. `{}` removes them',
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
    defaultValue: Type.Optional(defaultValue('The initial value in a new credential')),
    options: Type.Optional(options),
    pattern: Type.Optional(pattern),
    constraints: Type.Optional(ref(FieldConstraints)),
    position: Type.Integer({
      format: 'int32',
      minimum: 0,
      maximum: MAX_FIELDS - 1,
      description: 'The position of the field in the list, from 0'
    })
  },
  { $id: 'CredentialTypeField', examples: [{ id: fieldId, ...host, position: 0 }] }
)

/** Properties that `null` removes in an update. In a create, `null` is the same as leaving them out. */
const optional = {
  description: Type.Optional(Description),
  defaultValue: Type.Optional(defaultValue('The initial value in a new credential, or null')),
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
        `${secret.description}. The default is false for \`boolean\`, \`number\`, \`select\`, \`url\` and ` +
        '`email`, and true for other field types'
    }),
    ...optional
  },
  { $id: 'CredentialTypeFieldCreate', examples: [apiKey, region] }
)

export const CredentialTypeFieldUpdate = closed(
  {
    id: Type.Optional({
      ...Id,
      description:
        'The id of the field to change. Without it, the entry changes the field with its `fieldName`, or ' +
        'adds a field'
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
        description:
          'Ignored; the order of the list applies. Accepted so that you can send back what you read'
      })
    )
  },
  {
    $id: 'CredentialTypeFieldUpdate',
    description:
      'With the `id` or `fieldName` of a field: absent properties keep their values, and `null` clears a ' +
      'value. Otherwise a new field, which requires `fieldName`, `fieldLabel` and `fieldType`',
    examples: [{ fieldName: 'host', fieldLabel: 'Host name' }, apiKey]
  }
)
