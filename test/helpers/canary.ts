import { randomBytes } from 'node:crypto'
import { type Kysely, sql } from 'kysely'

/** A marked value. Its kind determines where it may appear. */
export interface Canary<Kind extends string = string> {
  kind: Kind
  /** Identifies the value in failure messages. */
  label: string
  value: string
}

export interface Sighting<Kind extends string = string> {
  canary: Canary<Kind>
  form: string
}

interface Needle<Kind extends string> extends Sighting<Kind> {
  text: string
}

const HEAD = 8
/**
 * The length of the pieces at the beginning, middle and end of a long value that are searched for, so that
 * truncated copies are found too.
 */
const PIECE = 40

/** Returns a random word that is also a valid field name. */
export function randomWord(length = 24): string {
  const digits = 'abcdefghijklmnopqrstuvwxyz0123456789'
  const word = [...randomBytes(length)].map((byte) => digits[byte % 36]).join('')
  return digits[randomBytes(1)[0]! % 26] + word.slice(1)
}

/** Registers marked values, and finds them in any text. Ignores case. */
export class Canaries<Kind extends string = string> {
  readonly all: Canary<Kind>[] = []
  readonly #needles = new Map<string, Needle<Kind>[]>()

  /** Registers a value and returns it. */
  plant(kind: Kind, label: string, value = randomWord()): string {
    const canary = { kind, label, value }
    this.all.push(canary)
    for (const piece of piecesOf(value)) {
      for (const [form, text] of formsOf(piece)) this.#look({ canary, form, text: text.toLowerCase() })
    }
    return value
  }

  /** Returns the canaries in a text, once for each of their forms. */
  find(haystack: string | Buffer): Sighting<Kind>[] {
    const text = (typeof haystack === 'string' ? haystack : haystack.toString('latin1')).toLowerCase()
    const found = new Map<string, Sighting<Kind>>()
    for (let i = 0; i + HEAD <= text.length; i++) {
      for (const needle of this.#needles.get(text.slice(i, i + HEAD)) ?? []) {
        if (text.startsWith(needle.text, i)) {
          const { canary, form } = needle
          found.set(`${canary.value}/${form}`, { canary, form })
        }
      }
    }
    return [...found.values()]
  }

  #look(needle: Needle<Kind>): void {
    // A shorter text would be found by chance.
    if (needle.text.length < HEAD + 2) throw new Error(`too short to look for: ${needle.canary.label}`)
    const head = needle.text.slice(0, HEAD)
    const beside = this.#needles.get(head)
    if (!beside) this.#needles.set(head, [needle])
    else if (!beside.some(({ text, canary }) => text === needle.text && canary === needle.canary))
      beside.push(needle)
  }
}

function piecesOf(value: string): string[] {
  if (value.length <= 3 * PIECE) return [value]
  const middle = Math.floor(value.length / 2)
  return [value.slice(0, PIECE), value.slice(middle, middle + PIECE), value.slice(-PIECE)]
}

/** Returns the encodings in which a text may appear, by name. Several may be equal. */
export function formsOf(text: string): [form: string, text: string][] {
  const bytes = Buffer.from(text)
  const json = jsonOf(text)
  const ascii = json.replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
  const base64 = [0, 1, 2].map((alignment) => base64At(bytes, alignment))
  const url = encodeURIComponent(text)
  return [
    ['clear', text],
    ['bytes', bytes.toString('latin1')],
    ...base64.map((one, i): [string, string] => [`base64 at ${i}`, one]),
    ...base64.map((one, i): [string, string] => [
      `base64url at ${i}`,
      one.replaceAll('+', '-').replaceAll('/', '_')
    ]),
    ['hex', bytes.toString('hex')],
    ['URL', url],
    ['URL of a form', new URLSearchParams([['', text]]).toString().slice(1)],
    ['URL, twice', encodeURIComponent(url)],
    ['URL, every byte', bytes.toString('hex').replace(/../g, '%$&')],
    ['JSON', json],
    ['JSON, in ASCII', ascii],
    ['JSON with slashes escaped', json.replaceAll('/', '\\/')],
    ['JSON, twice', jsonOf(json)],
    ['JSON, in ASCII, twice', jsonOf(ascii)]
  ]
}

const jsonOf = (text: string) => JSON.stringify(text).slice(1, -1)

/**
 * Returns the base64 characters that only these bytes determine, at this offset in a group of three bytes.
 */
function base64At(bytes: Buffer, alignment: number): string {
  const all = Buffer.concat([Buffer.alloc(alignment), bytes]).toString('base64')
  return all.slice(Math.ceil((alignment * 8) / 6), Math.floor(((alignment + bytes.length) * 8) / 6))
}

export interface Column {
  /** `table.column`. */
  name: string
  /** All values of the column as one text; bytes in hex. */
  text: string
  /** All values of a column of bytes. */
  raw: Buffer | undefined
}

/** Reads every column of every table. */
// biome-ignore lint/suspicious/noExplicitAny: accepts any tables
export async function readAllColumns(db: Kysely<any>): Promise<Column[]> {
  const { rows: columns } = await sql<{ table: string; column: string; type: string; schema: string }>`
    select c.table_schema as schema, c.table_name as table, c.column_name as column, c.data_type as type
    from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
    where t.table_type = 'BASE TABLE' and c.table_schema not in ('pg_catalog', 'information_schema')
    order by c.table_name, c.ordinal_position`.execute(db)
  return Promise.all(
    columns.map(async ({ schema, table, column, type }) => {
      const isBytes = type === 'bytea'
      const value = isBytes ? sql`encode(${sql.ref(column)}, 'hex')` : sql`${sql.ref(column)}::text`
      const { rows } = await sql<{ all: string | null }>`
        select string_agg(${value}, ${isBytes ? '' : '\n'}) as all
        from ${sql.table(`${schema}.${table}`)}`.execute(db)
      const text = rows[0]!.all ?? ''
      return { name: `${table}.${column}`, text, raw: isBytes ? Buffer.from(text, 'hex') : undefined }
    })
  )
}
