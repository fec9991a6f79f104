import type { Database } from '../../db/database.ts'
import { countUses, listDataKeys, listRootKeyFingerprints } from './repository.ts'

export interface KeyStatus {
  keys: {
    number: number
    state: 'current' | 'retired'
    createdAt: string
    ageDays: number
    retiredAt: string | null
    values: number
    /** Answers stored for idempotency keys; they expire within a day. */
    answers: number
    rootKeyFingerprint: string
  }[]
  /** Values under the current data key, and all values. */
  reencryption: { done: number; total: number }
}

const DAY_MS = 24 * 60 * 60_000

/** The data keys, how many values each encrypts, and the progress of re-encryption. Counts every value. */
export async function keyStatus(db: Database): Promise<KeyStatus> {
  const [rows, uses] = await Promise.all([listDataKeys(db), countUses(db)])
  const keys = rows.map((row) => {
    const { values = 0, answers = 0 } = uses.find((one) => one.number === row.number) ?? {}
    return {
      number: row.number,
      state: row.retired_at ? ('retired' as const) : ('current' as const),
      createdAt: row.created_at.toISOString(),
      ageDays: Math.floor((Date.now() - row.created_at.getTime()) / DAY_MS),
      retiredAt: row.retired_at?.toISOString() ?? null,
      values,
      answers,
      rootKeyFingerprint: row.root_key_fingerprint
    }
  })
  const sum = (some: typeof keys) => some.reduce((total, key) => total + key.values, 0)
  return {
    keys,
    reencryption: { done: sum(keys.filter((key) => key.state === 'current')), total: sum(keys) }
  }
}

/** The status as lines of a table. */
export function statusLines({ keys, reencryption: { done, total } }: KeyStatus): string[] {
  const table = [
    ['data key', 'state', 'age', 'retired at', 'values', 'answers', 'root key'],
    ...keys.map((key) => [
      String(key.number),
      key.state,
      `${key.ageDays} d`,
      key.retiredAt ?? '-',
      String(key.values),
      String(key.answers),
      key.rootKeyFingerprint
    ])
  ]
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)))
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd()
  )
  const percent = total === 0 ? 100 : Math.floor((100 * done) / total)
  return [...lines, `The current data key encrypts ${done} of ${total} values (${percent} %).`]
}

/** The fingerprints of the root keys that wrap the data keys; none in a database without tables. */
export const rootKeysInUse = (db: Database) => listRootKeyFingerprints(db)
