import type { Database } from '../../../db/database.ts'
import type { FieldRow } from '../../credential-types/repository.ts'
import type { ItemRow } from '../list-repository.ts'
import { environmentsOf, fieldsOf, ID_LENGTH } from './resource.ts'

/**
 * The credentials of one page without any value, as a JSON array of `AppCredentialItem`. Written here by hand: a page has
 * hundreds of small objects, most of them alike, and making them only to have them serialised takes most of a list's time.
 */
export async function toItems(db: Database, rows: readonly ItemRow[]): Promise<string> {
  const parts = partsOf(rows)
  const keysOf = new Map<string, string>()
  const items: string[] = []
  for (const row of rows) {
    const filled = parts.filled.get(row.id) ?? ''
    const sort = row.type_id + filled
    let keys = keysOf.get(sort)
    if (keys === undefined) {
      keys = itemKeys(await fieldsOf(db, row), filled)
      keysOf.set(sort, keys)
    }
    items.push(itemOf(row, parts, keys))
  }
  return `[${items.join(',')}]`
}

type Parts = Record<'environments' | 'filled' | 'usages' | 'projects', Map<string, string>>

/** What the credentials of a page have several of, by credential id. */
function partsOf(rows: readonly ItemRow[]): Parts {
  const row = rows.find((row) => row.environments !== null)
  return {
    environments: byCredential(row?.environments, ' '),
    filled: byCredential(row?.filled, ' '),
    usages: byCredential(row?.usages, ' '),
    projects: byCredential(row?.projects, '\n', ',')
  }
}

/** The parts behind each id, with `joint` between them. */
function byCredential(text: string | null | undefined, separator: string, joint = separator) {
  const found = new Map<string, string>()
  if (!text) return found
  for (const part of text.split(separator)) {
    const id = part.slice(0, ID_LENGTH)
    const before = found.get(id)
    found.set(id, before === undefined ? part.slice(ID_LENGTH) : before + joint + part.slice(ID_LENGTH))
  }
  return found
}

const text = (value: string | null) => JSON.stringify(value)

/** A time of Postgres's in UTC, with milliseconds as the contract has it. */
function time(value: string | null): string {
  if (value === null) return 'null'
  const fraction = value.slice(20, 23).padEnd(3, '0')
  return `"${value.slice(0, 10)}T${value.slice(11, 19)}.${fraction}Z"`
}

/** Ids, times and numbers need no escapes; projects are JSON as Postgres made it. */
function itemOf(row: ItemRow, { environments, usages, projects }: Parts, keys: string): string {
  const { id } = row
  return (
    `{"id":"${id}","credentialName":${text(row.name)},"credentialTypeId":"${row.type_id}",` +
    `"credentialType":{"id":"${row.type_id}","typeName":${text(row.type_name)}},` +
    `"description":${text(row.description)},"ownerId":"${row.owner_id}",` +
    `"environments":${JSON.stringify(environmentsOf(environments.get(id) ?? ''))},` +
    `"projects":[${projects.get(id) ?? ''}],"usageCount":${usages.get(id) ?? 0},` +
    `"revision":${row.revision},"expiresAt":${time(row.expires_at)},` +
    `"createdAt":${time(row.created_at)},"updatedAt":${time(row.updated_at)},"keys":${keys}}`
  )
}

function itemKeys(fields: readonly FieldRow[], filled: string): string {
  const keys = fields.map(({ id: fieldId, field_name: fieldName, secret }) => ({
    fieldId,
    fieldName,
    secret,
    hasValue: filled.includes(fieldId)
  }))
  return JSON.stringify(keys)
}
