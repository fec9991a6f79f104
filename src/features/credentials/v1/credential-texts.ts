import type { Keyring } from '../../../crypto/keyring.ts'
import type { Database } from '../../../db/database.ts'
import { Recent } from '../../../recent.ts'
import type { CredentialRow } from '../repository.ts'
import { toCredential } from './resource.ts'

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

/** Characters of all kept answers together: thousands of usual ones. */
const MAX_KEPT = 4 * 1024 * 1024

/**
 * The same as JSON. Opening values takes longer than anything else in a read, so the last answers are kept, each
 * with the row that it was made of, sealed values and all: it is given only for a row that has nothing else in it.
 */
export class CredentialTexts {
  readonly #db: Database
  readonly #keyring: Keyring
  readonly #kept = new Recent<{ row: CredentialRow; text: string }>(MAX_KEPT)

  constructor(db: Database, keyring: Keyring) {
    this.#db = db
    this.#keyring = keyring
  }

  async of(row: CredentialRow): Promise<string> {
    const kept = this.#kept.get(row.id)
    if (kept && isSame(kept.row, row)) return kept.text
    const text = JSON.stringify(await toCredential(this.#db, this.#keyring, row))
    // The row has about as much in it as what was made of it.
    this.#kept.put(row.id, { row, text }, 2 * text.length)
    return text
  }
}
