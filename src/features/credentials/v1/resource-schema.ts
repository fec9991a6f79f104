import { Type } from '@sinclair/typebox'
import { pageOf } from '../../../http/list-schemas.ts'
import {
  AskedName,
  closed,
  counter,
  Description,
  described,
  EnvironmentName,
  Id,
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
  description: 'A value of the field’s type; numbers keep their spelling. At most 64 KiB in UTF-8'
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
    description: '`keyValue` is there for fields that have a value and are not secret',
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
    described(ShownName, 'The name of the Lightning schema of a `raw` credential, if it has one')
  ),
  description: Description,
  ownerId: Id,
  environments: Type.Array(EnvironmentName, { maxItems: MAX_ENVIRONMENTS, examples: [['main', 'staging']] }),
  projects: Type.Array(ref(ProjectReference), {
    maxItems: 100,
    description: 'Those that the caller is a member of'
  }),
  usageCount: quantity('How many consumers depend on it'),
  revision: counter({ description: 'One more with each change' }),
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
    description: 'The value of one field, by `fieldId` or by `fieldName`, not both',
    examples: [{ fieldName: 'apiKey', keyValue: 'k-123456' }]
  }
)

/** The values of a request, by name or by id. The handler refuses both together. */
const values = {
  keys: Type.Optional(
    Type.Array(ref(NewKey), {
      maxItems: MAX_FIELDS,
      description: 'The values as a list. Either this or `values`, not both'
    })
  ),
  values: Type.Optional(
    Type.Unsafe<Record<string, unknown>>({
      type: 'object',
      additionalProperties: true,
      maxProperties: MAX_FIELDS,
      description: 'The values by the names of their fields. Either this or `keys`, not both',
      examples: [{ apiKey: 'k-123456' }]
    })
  )
}

const ProjectNameOrId = Type.String({
  ...AskedName,
  $id: 'ProjectNameOrId',
  description: 'The name of a project that the caller created, compared as names are, or the id of any',
  examples: ['Reports']
})

/** The projects of a request, by name or by id. The handler refuses both together. */
const projects = {
  projectIds: Type.Optional(
    Type.Array(Id, { maxItems: 100, description: 'Either this or `projects`, not both' })
  ),
  projects: Type.Optional(
    Type.Array(ref(ProjectNameOrId), {
      maxItems: 100,
      description:
        'By their names or ids. The name of a project that the caller did not create is 409 ' +
        '`ambiguous-name`. Either this or `projectIds`, not both',
      examples: [['Reports']]
    })
  )
}

const writable = {
  description: Type.Optional(Description),
  ...projects,
  expiresAt: Type.Optional(nullable(Timestamp))
}

export const AppCredentialCreate = closed(
  {
    credentialName: Name,
    credentialTypeId: Type.Optional(described(Id, 'Either this or `credentialType`, not both')),
    credentialType: Type.Optional(
      described(
        Type.String({ ...AskedName, examples: ['api-key'] }),
        'The name of a built-in type, a type of your own, or a type of an administrator; compared as names ' +
          'are. Either this or `credentialTypeId`, not both'
      )
    ),
    ...values,
    ...writable
  },
  {
    $id: 'AppCredentialCreate',
    description:
      'Takes `credentialType` or `credentialTypeId`, `values` or `keys`, and, if any, `projects` or ' +
      '`projectIds`',
    examples: [{ credentialName: 'Weather', credentialType: 'api-key', values: { apiKey: 'k-123456' } }]
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

export const AppCredentialPatch = closed(patchable, {
  $id: 'AppCredentialPatch',
  examples: [{ expiresAt: null, values: { apiKey: 'k-654321', baseUrl: null } }]
})

export const EnvironmentValues = closed(values, {
  $id: 'EnvironmentValues',
  description: 'Takes `values` or `keys`, not both',
  examples: [{ values: { apiKey: 'k-of-staging' } }]
})

export const EnvironmentPatch = closed(
  { values: AppCredentialUpdate.properties.values },
  { $id: 'EnvironmentPatch', examples: [{ values: { apiKey: 'k-of-staging', baseUrl: null } }] }
)

export const ProjectIds = closed(projects, {
  $id: 'ProjectIds',
  description: 'Takes `projects` or `projectIds`, not both',
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

// No body is the same as `{}`.
export const Reveal = nullable(
  closed(
    {
      fieldIds: Type.Optional(
        Type.Array(Id, {
          maxItems: MAX_FIELDS,
          description: 'Only these fields. Either this or `fieldNames`, not both'
        })
      ),
      fieldNames: Type.Optional(
        Type.Array(FieldName, {
          maxItems: MAX_FIELDS,
          description: 'Only the fields of these names. Either this or `fieldIds`, not both'
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
      description: 'Do it only at this revision, as in `ETag`; else 412',
      examples: ['"3"']
    })
  )
})
