import { DecryptionFailed } from '../../crypto/aead.ts'
import { UnknownDataKey } from '../../crypto/keyring.ts'
import { AnswerTooLarge } from '../../http/problems.ts'
import { foldName } from '../../names.ts'
import type { Services } from '../../services.ts'
import type { FieldRow } from '../credential-types/repository.ts'
import { findLinked, type LinkedRow, type PreloadedRow } from './repositories/value-repository.ts'
import { opener } from './sealing.ts'
import { fieldsOf } from './shown-values.ts'
import { valuesByName } from './values-by-name.ts'

/** The maximum total size, in bytes, of the encrypted values of one response. */
const MAX_BYTES = 6 * 1024 * 1024

/** A requested credential, by id or by name. Names are compared by `foldName`. */
export type ResolveItem = { id: string } | { name: string }

export interface Resolved {
  status: 'resolved'
  id: string
  credentialName: string
  typeName: string
  environment: string
  revision: number
  expiresAt: string | null
  values: Record<string, unknown>
}

export type RefusalCode =
  | 'not-found'
  | 'ambiguous-name'
  | 'environment-not-configured'
  | 'expired'
  | 'decryption-failed'

const DETAILS: Record<RefusalCode, string> = {
  'not-found': 'The project has no such credential.',
  'ambiguous-name': 'Several credentials of the project have this name. Send the id instead.',
  'environment-not-configured': 'The credential has no values for this environment.',
  expired: 'The credential has expired.',
  'decryption-failed': 'A stored value cannot be decrypted because it was changed outside the service.'
}

/** A credential that could not be resolved: its id or name in the request, and the error. */
export type Unresolved = ResolveItem & { status: 'failed'; error: { code: RefusalCode; detail: string } }

export type Result = Resolved | Unresolved

/** The maximum number of credentials that are read in the statement that authenticates the caller. */
const MAX_PRELOADED = 16

/** Returns the ids if there are few items, all of them by id; otherwise undefined. */
export function idsOf(items: readonly { id?: string; name?: string }[]): string[] | undefined {
  const ids = items.flatMap(({ id, name }) => (id !== undefined && name === undefined ? [id] : []))
  return ids.length === items.length && ids.length <= MAX_PRELOADED ? ids : undefined
}

/**
 * Resolves each item, in order, to the values of a credential that is linked to the project, or to an error.
 * An item that fails does not affect the others. `preloaded` has the rows if all items are ids. `handedOut`,
 * the credentials whose values are returned, and `undecryptable` are for the audit log.
 */
export async function resolveCredentials(
  { db, keyring }: Services,
  projectId: string,
  items: readonly ResolveItem[],
  environment: string,
  preloaded: readonly PreloadedRow[] | undefined
): Promise<{ results: Result[]; handedOut: LinkedRow[]; undecryptable: LinkedRow[] }> {
  const ids = items.flatMap((item) => ('id' in item ? [item.id] : []))
  const keyOf = new Map(items.flatMap((item) => ('name' in item ? [[item.name, foldName(item.name)]] : [])))
  const nameKeys = [...keyOf.values()]
  const small = preloaded?.filter((row): row is LinkedRow => row.sealed !== null)
  const rows =
    small && small.length === preloaded?.length
      ? small
      : await findLinked(db, { projectId, ids, nameKeys, environment, maxBytes: MAX_BYTES })
  if (!rows) throw new AnswerTooLarge()
  const byId = new Map(rows.map((row) => [row.id, [row]]))
  const byName = Map.groupBy(rows, (row) => row.name_key)
  const handedOut = new Map<string, LinkedRow>()
  const undecryptable = new Map<string, LinkedRow>()
  const fields = new Map(await Promise.all(rows.map(async (row) => [row, await fieldsOf(db, row)] as const)))
  const results = items.map((item): Result => {
    const found = ('id' in item ? byId.get(item.id.toLowerCase()) : byName.get(keyOf.get(item.name)!)) ?? []
    const [row] = found
    const refuse = (code: RefusalCode): Result => ({
      status: 'failed',
      ...item,
      error: { code, detail: DETAILS[code] }
    })
    if (!row) return refuse('not-found')
    if (found.length > 1) return refuse('ambiguous-name')
    if (row.expired) return refuse('expired')
    if (!row.configured) return refuse('environment-not-configured')
    try {
      const resolved = resolve(keyring, row, fields.get(row)!, environment)
      handedOut.set(row.id, row)
      return resolved
    } catch (error) {
      // An unknown data key is loaded, and the request is run again.
      if (!(error instanceof DecryptionFailed) || error instanceof UnknownDataKey) throw error
      undecryptable.set(row.id, row)
      return refuse('decryption-failed')
    }
  })
  return { results, handedOut: [...handedOut.values()], undecryptable: [...undecryptable.values()] }
}

function resolve(
  keyring: Services['keyring'],
  row: LinkedRow,
  fields: readonly FieldRow[],
  environment: string
): Resolved {
  const open = opener(keyring, { credentialId: row.id, environment, sealedRevision: row.sealed_revision })
  const values = fields
    .filter(({ id }) => id in row.sealed)
    .map((field) => [field, open(field.id, Buffer.from(row.sealed[field.id]!, 'base64'))] as const)
  return {
    status: 'resolved',
    id: row.id,
    credentialName: row.name,
    typeName: row.type_name,
    environment,
    revision: row.revision,
    expiresAt: row.expires_at?.toISOString() ?? null,
    values: valuesByName(values)
  }
}
