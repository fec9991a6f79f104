import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { GRANTS } from '../../src/db/grants.ts'
import { openEmbedded } from '../../src/embedded/shared.ts'

/** Tables that keep rows on purpose, even after a resource was deleted. */
const STAYS = /^(audit_.*|credential_totals|idempotency_keys|login_failures|kysely_migration)$/

const LABELS = ['name', 'type_name', 'field_name', 'consumer']

/**
 * Lists the rows and files of a service with an embedded database: the rows of its tables, and the files in
 * the folder in which it runs.
 */
export async function thingsOf(clone: string): Promise<string[]> {
  const { owner } = await openEmbedded(join(clone, 'data'))
  const client = new pg.Client(owner)
  await client.connect()
  try {
    const label = `coalesce(${LABELS.map((name) => `json->>'${name}'`).join()}, '')`
    const tables = Object.keys(GRANTS).filter((table) => !STAYS.test(table))
    // A revoked token is kept for the audit log.
    const rows = await client.query<{ thing: string }>(
      tables
        .map(
          (table) => `select rtrim('${table}: ' || ${label}, ': ') as thing
            from ${table} r, to_jsonb(r) json where json->>'revoked_at' is null`
        )
        .join(' union all ')
    )
    return [...rows.rows.map(({ thing }) => thing), ...(await filesIn(clone))]
  } finally {
    await client.end()
  }
}

async function filesIn(clone: string): Promise<string[]> {
  const entries = await readdir(clone, { withFileTypes: true })
  const folders = entries.filter((entry) => entry.isDirectory() && entry.name !== 'data')
  const below = folders.map(async ({ name }) =>
    (await readdir(join(clone, name), { recursive: true })).map((path) => join(name, path))
  )
  return [...entries.map(({ name }) => name), ...(await Promise.all(below)).flat()].map(
    (path) => `file ${path}`
  )
}

/** Returns the entries that only one of the lists has, including duplicates. */
export function difference(before: readonly string[], after: readonly string[]) {
  const without = (from: readonly string[], those: readonly string[]) => {
    const left = [...those]
    return from.filter((thing) => {
      const index = left.indexOf(thing)
      if (index >= 0) left.splice(index, 1)
      return index < 0
    })
  }
  return { left: without(after, before), gone: without(before, after) }
}
