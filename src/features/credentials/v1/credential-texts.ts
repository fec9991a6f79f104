import { LRUCache } from 'lru-cache'
import type { Keyring } from '../../../crypto/keyring.ts'
import type { Database } from '../../../db/database.ts'
import type { CredentialRow } from '../repository.ts'
import { sealedIn, toCredential } from './resource.ts'

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

type Parts = CredentialRow[keyof CredentialRow][]

/** The columns alone: whoever asked is in the same row. */
const partsOf = (row: CredentialRow): Parts => COLUMNS.map((column) => row[column])

function isMadeOf(parts: Parts, row: CredentialRow): boolean {
  return COLUMNS.every((column, i) => {
    const [a, b] = [parts[i], row[column]]
    return a === b || (a instanceof Date && b instanceof Date && a.getTime() === b.getTime())
  })
}

type Serialize = (credential: Record<string, unknown>) => string

/** Characters of all kept answers and what they were made of: a thousand of usual ones and more. */
const MAX_KEPT = 4 * 1024 * 1024

const lengthOf = (parts: Parts) =>
  parts.reduce<number>((length, part) => length + (typeof part === 'string' ? part.length : 8), 0)

/**
 * The same as JSON. Opening values takes longer than anything else in a read, so the last answers are kept, each
 * with what it was made of, sealed values and all: it is given only for a row that has nothing else in it.
 */
export class CredentialTexts {
  readonly #db: Database
  readonly #keyring: Keyring
  readonly #kept = new LRUCache<string, { parts: Parts; text: string }>({
    maxSize: MAX_KEPT,
    maxEntrySize: Math.floor(MAX_KEPT / 100)
  })

  constructor(db: Database, keyring: Keyring) {
    this.#db = db
    this.#keyring = keyring
  }

  /** `serialize` is the route's, so that only what its response schema names gets out. */
  async of(row: CredentialRow, serialize: Serialize): Promise<string> {
    const kept = this.#kept.get(row.id)
    if (kept && isMadeOf(kept.parts, row)) return kept.text
    const text = serialize(await toCredential(this.#db, row, sealedIn(this.#keyring, row)))
    const parts = partsOf(row)
    this.#kept.set(row.id, { parts, text }, { size: text.length + lengthOf(parts) })
    return text
  }
}
