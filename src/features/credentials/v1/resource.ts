import type { Static } from '@sinclair/typebox'
import type { Changed } from '../change.ts'
import type { ItemRow } from '../repositories/item-repository.ts'
import type { ShownValues } from '../shown-values.ts'
import type * as schema from './resource-schema.ts'

/** The credential, including the values that are not secret. */
export function toCredential({ row, shown }: Changed): Static<typeof schema.AppCredential> {
  return { ...toItem(row, shown), keys: keysOf(shown) }
}

/** The credential without values. */
export function toItem(
  row: Omit<ItemRow, 'filled_fields'> | Changed['row'],
  { fields, filled }: Pick<ShownValues, 'fields' | 'filled'>
): Static<typeof schema.AppCredentialItem> {
  return {
    id: row.id,
    credentialName: row.name,
    credentialTypeId: row.type_id,
    credentialType: { id: row.type_id, typeName: row.type_name },
    ...(row.lightning_schema !== null && { lightningSchema: row.lightning_schema }),
    description: row.description,
    ownerId: row.owner_id,
    environments: mainFirst(row.environments),
    projects: row.projects,
    usageCount: row.usage_count,
    revision: row.revision,
    expiresAt: row.expires_at && isoTime(row.expires_at),
    createdAt: isoTime(row.created_at),
    updatedAt: isoTime(row.updated_at),
    keys: fields.map(({ id: fieldId, field_name: fieldName, secret }) => ({
      fieldId,
      fieldName,
      secret,
      hasValue: filled.has(fieldId)
    }))
  }
}

/** Accepts a Date, or a time as Postgres writes it in JSON. */
const isoTime = (time: Date | string) => new Date(time).toISOString()

function keysOf({ fields, filled, open }: ShownValues): Static<typeof schema.AppCredential>['keys'] {
  return fields.map(({ id: fieldId, field_name: fieldName, secret }) => {
    const key = { fieldId, fieldName, secret, hasValue: filled.has(fieldId) }
    return open.has(fieldId) ? { ...key, keyValue: open.get(fieldId) } : key
  })
}

function mainFirst(environments: readonly string[]): string[] {
  const others = environments.filter((name) => name !== 'main').sort()
  return environments.includes('main') ? ['main', ...others] : others
}
