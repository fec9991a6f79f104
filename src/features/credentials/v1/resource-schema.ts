import { Type } from '@sinclair/typebox'
import { pageOf } from '../../../http/list-schemas.ts'
import {
  closed,
  counter,
  Description,
  described,
  EnvironmentName,
  Id,
  LookupName,
  MAX_FIELDS,
  Name,
  nullable,
  quantity,
  ref,
  ShownName,
  Timestamp
} from '../../../http/schemas.ts'
import { MAX_ENVIRONMENTS } from '../input.ts'

const id = '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'
const hostField = '019a0b1c-2d3e-7f40-8a51-000000000001'
const passwordField = '019a0b1c-2d3e-7f40-8a51-000000000002'
const time = '2026-11-21T10:15:30.000Z'
const example = {
  id,
  credentialName: 'Mail server',
  credentialTypeId: '019a0b1c-2d3e-7f40-8a51-00000000000a',
  credentialType: { id: '019a0b1c-2d3e-7f40-8a51-00000000000a', typeName: 'smtp' },
  description: 'For the nightly report',
  ownerId: '019a0b1c-2d3e-7f40-8a51-00000000000b',
  environments: ['main'],
  projects: [{ id: '019a0b1c-2d3e-7f40-8a51-00000000000c', name: 'Reports' }],
  usageCount: 0,
  revision: 1,
  expiresAt: null,
  createdAt: time,
  updatedAt: time
}
const hostKey = { fieldId: hostField, fieldName: 'host', secret: false, hasValue: true }
const passwordKey = { fieldId: passwordField, fieldName: 'password', secret: true, hasValue: true }
const itemExample = { ...example, keys: [hostKey, passwordKey] }

const KeyValue = Type.Unknown({
  description: 'A value of the type of the field, at most 64 KiB in UTF-8. Numbers are returned as sent'
})

const FieldName = Type.String({ maxLength: 64, examples: ['host'] })

const ItemKey = closed(
  { fieldId: Id, fieldName: FieldName, secret: Type.Boolean(), hasValue: Type.Boolean() },
  { $id: 'AppCredentialItemKey', examples: [passwordKey] }
)

const Key = closed(
  { ...ItemKey.properties, keyValue: Type.Optional(KeyValue) },
  {
    $id: 'AppCredentialKey',
    description: 'A field and its value. `keyValue` is present if the field has a value and is not secret',
    examples: [{ ...hostKey, keyValue: 'mail.example.org' }]
  }
)

const TypeReference = closed(
  { id: Id, typeName: ShownName },
  { $id: 'CredentialTypeReference', examples: [example.credentialType] }
)
const ProjectReference = closed(
  { id: Id, name: ShownName },
  { $id: 'ProjectReference', examples: example.projects }
)

const shared = {
  id: Id,
  credentialName: ShownName,
  credentialTypeId: Id,
  credentialType: ref(TypeReference),
  lightningSchema: Type.Optional(
    described(ShownName, 'The Lightning schema for which a `raw` credential was created, if any')
  ),
  description: Description,
  ownerId: Id,
  environments: Type.Array(EnvironmentName, { maxItems: MAX_ENVIRONMENTS, examples: [['main', 'staging']] }),
  projects: Type.Array(ref(ProjectReference), {
    maxItems: 100,
    description: 'The projects that the credential is linked to and of which the caller is a member'
  }),
  usageCount: quantity('The number of consumers that depend on the credential'),
  revision: counter({ description: 'Increases by one with each change' }),
  expiresAt: nullable(Timestamp),
  createdAt: Timestamp,
  updatedAt: Timestamp
}

export const AppCredential = closed(
  { ...shared, keys: Type.Array(ref(Key), { maxItems: MAX_FIELDS }) },
  {
    $id: 'AppCredential',
    examples: [{ ...example, keys: [{ ...hostKey, keyValue: 'mail.example.org' }, passwordKey] }]
  }
)

export const AppCredentialItem = closed(
  { ...shared, keys: Type.Array(ref(ItemKey), { maxItems: MAX_FIELDS }) },
  { $id: 'AppCredentialItem', description: 'A credential without any of its values', examples: [itemExample] }
)

export const AppCredentialPage = pageOf('AppCredentialPage', AppCredentialItem, [itemExample])

export const NewKey = closed(
  {
    fieldId: Type.Optional(Id),
    fieldName: Type.Optional(FieldName),
    keyValue: KeyValue
  },
  {
    $id: 'AppCredentialKeyInput',
    description: 'The value of one field. Send `fieldId` or `fieldName`, not both',
    examples: [{ fieldName: 'apiKey', keyValue: 'k-123456' }]
  }
)

const valuesByName = (description: string) =>
  Type.Optional(
    Type.Unsafe<Record<string, unknown>>({
      type: 'object',
      additionalProperties: true,
      maxProperties: MAX_FIELDS,
      description,
      examples: [{ apiKey: 'k-123456' }]
    })
  )

/** The values of a request, by name or by id. The handler rejects both together. */
const values = {
  keys: Type.Optional(
    Type.Array(ref(NewKey), {
      maxItems: MAX_FIELDS,
      description: 'Values as a list of fields. Send this or `values`, not both'
    })
  ),
  values: valuesByName('Values by field name. Send this or `keys`, not both')
}

const ProjectNameOrId = Type.String({
  ...LookupName,
  $id: 'ProjectNameOrId',
  description: 'The name of a project that you created (case-insensitive), or the id of any project',
  examples: ['Reports']
})

/** The projects of a request, by name or by id. The handler rejects both together. */
const projects = {
  projectIds: Type.Optional(
    Type.Array(Id, { maxItems: 100, description: 'Projects by id. Send this or `projects`, not both' })
  ),
  projects: Type.Optional(
    Type.Array(ref(ProjectNameOrId), {
      maxItems: 100,
      description:
        'Projects by name (only of projects that you created) or by id. Send this or `projectIds`, not both',
      examples: [['Reports']]
    })
  )
}

const writable = {
  description: Type.Optional(Description),
  ...projects,
  expiresAt: Type.Optional(nullable(described(Timestamp, 'The time of expiry (RFC 3339), or null')))
}

export const AppCredentialCreate = closed(
  {
    credentialName: Name,
    credentialTypeId: Type.Optional(
      described(Id, 'The id of the type. Send this or `credentialType`, not both')
    ),
    credentialType: Type.Optional(
      described(
        Type.String({ ...LookupName, examples: ['api-key'] }),
        'The name of a built-in type, of your own type, or of a type of an administrator ' +
          '(case-insensitive). Send this or `credentialTypeId`, not both'
      )
    ),
    ...values,
    ...writable
  },
  {
    $id: 'AppCredentialCreate',
    description:
      'Requires `credentialType` or `credentialTypeId`, and `values` or `keys`. `projects` or `projectIds` ' +
      'is optional',
    examples: [
      {
        credentialName: 'Weather',
        credentialType: 'api-key',
        projects: ['Reports'],
        values: { apiKey: 'k-123456' }
      }
    ]
  }
)

export const AppCredentialUpdate = closed(
  {
    credentialName: Type.Optional(Name),
    ...values,
    ...writable
  },
  {
    $id: 'AppCredentialUpdate',
    examples: [{ description: 'For the weekly report', values: { apiKey: 'k-654321' } }]
  }
)

const { keys: _keys, ...patchable } = AppCredentialUpdate.properties
const patchableValues = valuesByName('Values by field name')

export const AppCredentialPatch = closed(
  { ...patchable, values: patchableValues },
  {
    $id: 'AppCredentialPatch',
    examples: [{ expiresAt: null, values: { apiKey: 'k-654321', baseUrl: null } }]
  }
)

export const EnvironmentValues = closed(values, {
  $id: 'EnvironmentValues',
  description: 'Requires `values` or `keys`',
  examples: [{ values: { apiKey: 'k-of-staging' } }]
})

export const EnvironmentPatch = closed(
  { values: patchableValues },
  { $id: 'EnvironmentPatch', examples: [{ values: { apiKey: 'k-of-staging', baseUrl: null } }] }
)

export const ProjectIds = closed(projects, {
  $id: 'ProjectIds',
  description: 'Requires `projects` or `projectIds`',
  examples: [{ projects: ['Reports'] }]
})

export const Assignment = closed(
  { credentialId: Id, projectId: Id, assignedBy: nullable(Id), createdAt: Timestamp },
  {
    $id: 'ProjectAssignment',
    examples: [
      { credentialId: id, projectId: example.projects[0]!.id, assignedBy: example.ownerId, createdAt: time }
    ]
  }
)

// A request without a body is the same as `{}`.
export const Reveal = nullable(
  closed(
    {
      fieldIds: Type.Optional(
        Type.Array(Id, {
          maxItems: MAX_FIELDS,
          description: 'Only the fields with these ids. Send this or `fieldNames`, not both'
        })
      ),
      fieldNames: Type.Optional(
        Type.Array(FieldName, {
          maxItems: MAX_FIELDS,
          description: 'Only the fields with these names. Send this or `fieldIds`, not both'
        })
      ),
      environment: Type.Optional({ ...EnvironmentName, default: 'main' })
    },
    { $id: 'RevealRequest', examples: [{ environment: 'main' }] }
  )
)

const RevealedKey = closed(
  { fieldId: Id, fieldName: FieldName, keyValue: KeyValue },
  {
    $id: 'RevealedKey',
    examples: [{ fieldId: passwordField, fieldName: 'password', keyValue: 'correct horse battery' }]
  }
)

export const Revealed = closed(
  {
    id: Id,
    revision: counter(),
    environment: EnvironmentName,
    keys: Type.Array(ref(RevealedKey), { maxItems: MAX_FIELDS })
  },
  {
    $id: 'RevealedAppCredential',
    examples: [
      {
        id,
        revision: 1,
        environment: 'main',
        keys: RevealedKey['examples']
      }
    ]
  }
)

export const IfMatch = Type.Object({
  'if-match': Type.Optional(
    Type.String({
      maxLength: 1000,
      description: 'The `ETag` of the revision to change, with its quotes. If it is not current, you get 412',
      examples: ['"3"']
    })
  )
})
