import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import packageJson from '../../package.json' with { type: 'json' }
import { MIGRATIONS } from '../db/migration-files.ts'
import { DamagedBackup } from './frames.ts'

const Hex = (bytes: number) => Type.String({ pattern: `^[0-9a-f]{${2 * bytes}}$` })
const Name = Type.String({ pattern: '^[A-Za-z0-9_]{1,200}$' })
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
/** Printed before the tag is checked, so without control characters, which could change the terminal. */
const Printable = Type.String({ pattern: '^[ -~]{1,100}$' })
const Fingerprint = Printable
const Version = Printable

export const Header = Type.Object({
  createdAt: Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' }),
  latchkey: Version,
  postgres: Version,
  /** The migrations that have run in the database. */
  migrations: Type.Array(Type.Object({ name: Name, sha256: Hex(32) })),
  /** The root keys that its data keys need. */
  rootKeys: Type.Array(Fingerprint),
  auditHead: Type.Object({ position: Count, hash: Hex(32) }),
  /** The data key that the tag is made with, wrapped by a root key. */
  dataKey: Type.Object({
    number: Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 }),
    wrapped: Type.String({ maxLength: 10_000 }),
    rootKey: Fingerprint
  })
})
export type Header = Static<typeof Header>

export const Table = Type.Object({ name: Name, columns: Type.Array(Name, { minItems: 1 }) })
export type Table = Static<typeof Table>

export const TableEnd = Type.Object({ rows: Count, sha256: Hex(32) })

export const End = Type.Object({ tag: Hex(32) })

/** Throws DamagedBackup if the payload is not JSON of this schema. */
export function parseJson<Schema extends TSchema>(schema: Schema, payload: Buffer): Static<Schema> {
  let content: unknown
  try {
    content = JSON.parse(payload.toString('utf8'))
  } catch {
    throw new DamagedBackup('is damaged')
  }
  if (!Value.Check(schema, content)) throw new DamagedBackup('is damaged')
  return content
}

/** Returns the migrations that have run, with the checksums of their files. They must be this version's. */
export async function withChecksums(ran: readonly string[]): Promise<Header['migrations']> {
  const own = await ownMigrations()
  const names = own.map(({ name }) => name)
  const other = ran.find((name) => !names.includes(name)) ?? names.find((name) => !ran.includes(name))
  if (other !== undefined) {
    const age = ran.includes(other) ? 'a later' : 'an earlier'
    throw new Error(
      `the tables in the database are from ${age} version than Latchkey ${packageJson.version} ` +
        `(${other}): back up with the version that the service runs`
    )
  }
  return own
}

/** Not computed from the files, because those of the npm package are compiled. */
async function ownMigrations(): Promise<Header['migrations']> {
  const lines = (await readFile(join(MIGRATIONS, 'SHA256SUMS'), 'utf8')).trimEnd().split('\n')
  return lines.map((line) => {
    const [sha256 = '', file = ''] = line.split('  ')
    return { name: file.replace(/\.ts$/, ''), sha256 }
  })
}

/** Returns true if the tables of the backup are those of this version. */
export async function isOfThisVersion({ migrations }: Header): Promise<boolean> {
  const ran = new Set(migrations.map(({ name }) => name))
  return (await ownMigrations()).every(({ name }) => ran.has(name))
}

/** Throws if this version cannot create the tables of the backup. */
export async function requireKnownMigrations({ latchkey, migrations }: Header): Promise<void> {
  const known = new Map((await ownMigrations()).map(({ name, sha256 }) => [name, sha256]))
  for (const { name, sha256 } of migrations) {
    const own = known.get(name)
    if (!own) {
      throw new Error(
        `this backup is from Latchkey ${latchkey} and requires the migration ${name}, which ` +
          `${packageJson.version} does not have: restore it with ${latchkey} or later`
      )
    }
    if (own !== sha256)
      throw new Error(`the migration ${name} differs between this backup and this installation`)
  }
}
