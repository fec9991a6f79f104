import type { Static } from '@sinclair/typebox'
import type { Keyring } from '../../../crypto/keyring.ts'
import type { Database } from '../../../db/database.ts'
import { Recent } from '../../../recent.ts'
import { typeAt } from '../../credential-types/known-types.ts'
import type { FieldRow } from '../../credential-types/repository.ts'
import type { ItemRow } from '../list-repository.ts'
import type { CredentialRow } from '../repository.ts'
import { opener } from '../sealing.ts'
import type * as schema from './resource-schema.ts'

/** Of an id, as Postgres writes it. */
const ID_LENGTH = 36

/** The credential with the values of the fields that are not secret; the secret ones are not in the row. */
export async function toCredential(
  db: Database,
  keyring: Keyring,
  row: CredentialRow
): Promise<Static<typeof schema.AppCredential>> {
  const fields = await fieldsOf(db, row)
  const values = valuesOf(row)
  const open = opener(keyring, {
    credentialId: row.id,
    environment: 'main',
    sealedRevision: row.sealed_revision
  })
  const keys = fields.map(({ id: fieldId, field_name: fieldName, secret }) => {
    const sealed = values.get(fieldId)
    const key = { fieldId, fieldName, secret, hasValue: sealed !== undefined }
    return sealed && !secret ? { ...key, keyValue: open(fieldId, Buffer.from(sealed, 'base64')) } : key
  })
  return {
    id: row.id,
    credentialName: row.name,
    credentialTypeId: row.type_id,
    credentialType: { id: row.type_id, typeName: row.type_name },
    description: row.description,
    ownerId: row.owner_id,
    environments: environmentsOf(row),
    projects: JSON.parse(row.projects),
    usageCount: row.usage_count,
    revision: row.revision,
    expiresAt: row.expires_at?.toISOString() ?? null,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    keys
  }
}

/** What a credential's answer is made of, all of it: a column that is not here does not compile. */
const MADE_OF: Record<keyof CredentialRow, true> = {
  id: true,
  owner_id: true,
  type_id: true,
  name: true,
  description: true,
  revision: true,
  sealed_revision: true,
  expires_at: true,
  created_at: true,
  updated_at: true,
  type_name: true,
  type_revision: true,
  environments: true,
  projects: true,
  usage_count: true,
  values: true
}
const COLUMNS = Object.keys(MADE_OF) as (keyof CredentialRow)[]

function isSame(one: CredentialRow, other: CredentialRow): boolean {
  return COLUMNS.every((column) => {
    const [a, b] = [one[column], other[column]]
    return a === b || (a instanceof Date && b instanceof Date && a.getTime() === b.getTime())
  })
}

/** How many answers are kept (about twice as many at the most), and how long one may be. */
const KEPT = 1_000
const MAX_KEPT_LENGTH = 4_096

/**
 * The same as JSON. Opening values takes longer than anything else in a read, so the last answers are kept, each
 * with the row that it was made of, sealed values and all: it is given only for a row that has nothing else in it.
 */
export class CredentialTexts {
  readonly #db: Database
  readonly #keyring: Keyring
  readonly #kept = new Recent<string, { row: CredentialRow; text: string }>(KEPT)

  constructor(db: Database, keyring: Keyring) {
    this.#db = db
    this.#keyring = keyring
  }

  async of(row: CredentialRow): Promise<string> {
    const kept = this.#kept.get(row.id)
    if (kept && isSame(kept.row, row)) return kept.text
    const text = JSON.stringify(await toCredential(this.#db, this.#keyring, row))
    if (text.length <= MAX_KEPT_LENGTH) this.#kept.set(row.id, { row, text })
    return text
  }
}

/**
 * The credentials without any value, as a JSON array of `AppCredentialItem`. Written here by hand: a page has hundreds of
 * small objects, most of them alike, and making them only to have them serialised takes most of a list's time.
 */
export async function toItems(db: Database, rows: readonly ItemRow[]): Promise<string> {
  const keysOf = new Map<string, string>()
  for (const row of rows) {
    const sort = row.type_id + row.filled
    if (!keysOf.has(sort)) keysOf.set(sort, itemKeys(await fieldsOf(db, row), row.filled))
  }
  return `[${rows.map((row) => itemOf(row, keysOf.get(row.type_id + row.filled)!)).join(',')}]`
}

const text = (value: string | null) => JSON.stringify(value)
const time = (value: Date | null) => (value ? `"${value.toISOString()}"` : 'null')

/** Ids, times and numbers need no escapes; `projects` is JSON as Postgres made it. */
function itemOf(row: ItemRow, keys: string): string {
  const environments = JSON.stringify(environmentsOf(row))
  return (
    `{"id":"${row.id}","credentialName":${text(row.name)},"credentialTypeId":"${row.type_id}",` +
    `"credentialType":{"id":"${row.type_id}","typeName":${text(row.type_name)}},` +
    `"description":${text(row.description)},"ownerId":"${row.owner_id}","environments":${environments},` +
    `"projects":${row.projects},"usageCount":${row.usage_count},"revision":${row.revision},` +
    `"expiresAt":${time(row.expires_at)},"createdAt":${time(row.created_at)},"updatedAt":${time(row.updated_at)},` +
    `"keys":${keys}}`
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

/** Their names, `main` first if it is there. */
function environmentsOf({ environments }: { environments: string }): string[] {
  const names = environments === '' ? [] : environments.split(' ').sort()
  return names.includes('main') ? ['main', ...names.filter((name) => name !== 'main')] : names
}

/** Sealed values (base64) by field id; empty for one that is there and secret. */
function valuesOf({ values }: CredentialRow): Map<string, string> {
  if (values === '') return new Map()
  return new Map(values.split(' ').map((value) => [value.slice(0, ID_LENGTH), value.slice(ID_LENGTH)]))
}

async function fieldsOf(
  db: Database,
  row: { type_id: string; type_revision: number }
): Promise<readonly FieldRow[]> {
  // A type that is gone has no credentials: this one went with it since.
  return (await typeAt(db, row.type_id, row.type_revision))?.fields ?? []
}
