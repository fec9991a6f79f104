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
  description: 'Where the account is kept',
  defaultValue: 'eu',
  options: ['eu', 'us']
}
export const apiKey = { fieldName: 'apiKey', fieldLabel: 'API key', fieldType: 'password' }
export const fieldId = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f13'

const fieldName = Type.String({
  maxLength: 64,
  pattern: '^[a-zA-Z][a-zA-Z0-9_]{0,63}$',
  expected: 'a letter, then up to 63 letters, digits and _',
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
      Type.Array(
        Type.String({
          pattern: '^[a-z][a-z0-9+.-]{0,31}$',
          expected: 'a lower-case letter, then up to 31 of a-z, 0-9, +, . and -',
          examples: ['sftp']
        }),
        {
          minItems: 1,
          maxItems: 20,
          uniqueItems: true,
          description: 'The schemes that a `url` may have; `http` and `https` if absent'
        }
      )
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
      description:
        'Of the field that this entry changes; without it, the field of its `fieldName`, or a new one'
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
      'With the `id` or the `fieldName` of a field it keeps what is absent and `null` clears; otherwise it ' +
      'is as ' +
      'in a new type: `fieldName`, `fieldLabel` and `fieldType` are required',
    examples: [{ fieldName: 'host', fieldLabel: 'Host name' }, apiKey]
  }
)
