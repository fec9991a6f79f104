import { type Kysely, sql } from 'kysely'

// Names are compared by a key that the service computes, and texts in the order of their bytes: nothing
// depends on the database's locale any more.

const BATCH = 5_000
const MAX_NAME = 200
const MAX_EMAIL = 320
const UNNAMED = 'Unnamed'

const JOINING_SCRIPTS = [
  ...['Arab', 'Syrc', 'Mand', 'Nkoo', 'Adlm', 'Rohg', 'Mong', 'Phag'],
  ...['Deva', 'Beng', 'Guru', 'Gujr', 'Orya', 'Taml', 'Telu', 'Knda', 'Mlym', 'Sinh'],
  ...['Khmr', 'Mymr', 'Java', 'Bali', 'Cakm', 'Newa', 'Tirh', 'Sidd']
]
const joining = `[[\\p{L}\\p{M}]&&[${JOINING_SCRIPTS.map((script) => `\\p{scx=${script}}`).join('')}]]`

/** Format characters that are seen. */
const SIGNS = '\\u0600-\\u0605\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u{110bd}\\u{110cd}'

/** Invisible characters that a name may have, or, as the group, a character that it may not. */
const FORBIDDEN = new RegExp(
  [
    String.raw`\p{RGI_Emoji}`,
    String.raw`(?<=\p{ExtPict}[\ufe0f\p{EMod}]?)\u200d(?=\p{ExtPict})`,
    String.raw`(?<=\p{ExtPict})[\ufe0e\ufe0f]`,
    String.raw`(?<=${joining})[\u200c\u200d]`,
    String.raw`(?<=[\p{scx=Mong}&&\p{L}])[\u180b-\u180f]`,
    String.raw`(?<=\p{Unified_Ideograph})[\ufe00-\ufe02\u{e0100}-\u{e01ef}]`,
    String.raw`([\p{Cc}\u2028\u2029\p{DI}\u{1d159}\u{16fe4}[\p{Cf}--[${SIGNS}]][\p{Cn}--\p{ExtPict}]])`
  ].join('|'),
  'gv'
)

function clean(text: string): string {
  const allowed = text
    .normalize('NFC')
    .replace(FORBIDDEN, (match, forbidden) =>
      forbidden ? (/\p{White_Space}/v.test(match) ? ' ' : '') : match
    )
  const name = Array.from(trim(allowed)).slice(0, MAX_NAME).join('')
  if (name !== text) return clean(name)
  return /[[\p{L}\p{N}\p{P}\p{S}\p{ExtPict}]--\u2800]/v.test(name) ? name : UNNAMED
}

const trim = (text: string) =>
  text.replace(/^[\p{White_Space}\u2800]+/v, '').replace(/[\p{White_Space}\u2800]+$/v, '')

function fold(text: string): string {
  const visible = text
    .replace(/[\p{DI}--[\u{e0020}-\u{e007f}]]/gv, '')
    .replace(/[\p{White_Space}\u2800]+/gv, ' ')
    .trim()
  return Array.from(visible.normalize('NFD'), (one) =>
    one === 'ı' ? one : one.toLowerCase().toUpperCase().toLowerCase()
  )
    .join('')
    .normalize('NFC')
}

const withSuffix = (name: string, suffix: string) =>
  clean(
    Array.from(name)
      .slice(0, MAX_NAME - suffix.length)
      .join('')
  ) + suffix

interface Named {
  table: string
  column: string
  what: string
  /** The column within whose value names are unique, or null if they are unique in the table. */
  uniqueIn?: string | null
  /** More columns that change with a name. */
  touched?: string
}

const NAMED: Named[] = [
  {
    table: 'credentials',
    column: 'name',
    what: 'credential',
    uniqueIn: 'owner_id',
    touched: ', revision = t.revision + 1, updated_at = now()'
  },
  {
    table: 'credential_types',
    column: 'type_name',
    what: 'credential type',
    uniqueIn: null,
    touched: ', updated_at = now()'
  },
  { table: 'projects', column: 'name', what: 'project', touched: ', updated_at = now()' },
  { table: 'users', column: 'name', what: 'user', touched: ', updated_at = now()' }
]

type Db = Kysely<unknown>
type Notice = (line: string) => void

export async function up(db: Db, notice: Notice): Promise<void> {
  const run = (statement: string) => sql.raw(statement).execute(db)
  await run(`drop index users_email_hash`)
  await run(`drop index users_email_key`)
  await run(`drop index credential_types_name_key`)
  await run(`drop index credentials_name_key`)
  await orderByBytes(db)
  for (const named of NAMED) await addKeys(db, named, notice)
  await cleanNames(db, { table: 'access_tokens', column: 'name', what: 'access token' }, notice)
  await run(`create unique index credentials_name_key on credentials (owner_id, name_key)`)
  await run(`create unique index credential_types_name_key on credential_types (name_key)`)
  await separateEmails(db, notice)
  await run(`create unique index users_email_key on users (email_hash(email))`)
}

/** Gives all columns of text the collation of bytes. */
async function orderByBytes(db: Db): Promise<void> {
  const { rows } = await sql<{ table: string; columns: string }>`
    select c.relname as table, string_agg(
        format('alter %I type %s collate "C"', a.attname, format_type(a.atttypid, a.atttypmod)), ', '
      ) as columns
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace
      and a.attnum > 0 and a.attcollation not in (0, '"C"'::regcollation) and c.relname not like 'kysely%'
    group by c.relname order by c.relname`.execute(db)
  for (const { table, columns } of rows) await sql.raw(`alter table ${table} ${columns}`).execute(db)
}

/** Adds the column `name_key`, and renames what has the name of something older. */
async function addKeys(db: Db, named: Named, notice: Notice): Promise<void> {
  const { table, column, uniqueIn } = named
  const run = (statement: string) => sql.raw(statement).execute(db)
  await run(`alter table ${table} add name_key text collate "C"`)
  // Rewrites the table, which an update would double. It is the key of names in printable ASCII.
  await run(`alter table ${table} alter name_key type text collate "C" using lower(${column})`)
  await cleanNames(db, named, notice, true)
  if (uniqueIn !== undefined) {
    const within = uniqueIn === null ? '' : `${uniqueIn}, `
    await run(
      `create index folded_names on ${table} (${within}name_key, (owner_id is not null), created_at, id)`
    )
    await run(`analyze ${table}`)
    await separateNames(db, named, notice)
    await run(`drop index folded_names`)
  }
  await run(`alter table ${table} alter name_key set not null`)
}

/** Cleans the names that are not simply printable ASCII, and sets their keys. */
async function cleanNames(db: Db, named: Named, notice: Notice, keyed = false): Promise<void> {
  const { table, column, what, uniqueIn, touched = '' } = named
  const scope = uniqueIn ? sql.ref(uniqueIn) : sql`null::uuid`
  for (let last = '00000000-0000-0000-0000-000000000000'; ; ) {
    const { rows } = await sql<Renamed>`
      select id, ${sql.ref(column)} as name, ${scope} as scope from ${sql.table(table)}
      where id > ${last} and ${sql.ref(column)} !~ '^[!-~]+( [!-~]+)*$' order by id limit ${BATCH}`.execute(
      db
    )
    if (rows.length === 0) return
    last = rows.at(-1)!.id
    const names = rows.map(({ name }) => clean(name))
    const renamed = rows.flatMap((row, index) => {
      const name = names[index]!
      return fold(row.name) === fold(name) ? [] : [{ ...row, name }]
    })
    for (const { id, name } of renamed)
      notice(`The ${what} ${id} had a name that is not allowed; it is now "${name}".`)
    // A token has no event for a change.
    if (keyed) await recordRenames(db, what, renamed)
    const ids = rows.map(({ id }) => id)
    await sql`update ${sql.table(table)} t set ${sql.raw(column)} = d.name ${sql.raw(touched)}
      from unnest(${ids}::uuid[], ${names}::text[]) d(id, name)
      where t.id = d.id and t.${sql.raw(column)} <> d.name`.execute(db)
    if (keyed) await setKeys(db, table, ids, names)
  }
}

async function setKeys(db: Db, table: string, ids: string[], names: string[]): Promise<void> {
  await sql`update ${sql.table(table)} t set name_key = d.key
    from unnest(${ids}::uuid[], ${names.map(fold)}::text[]) d(id, key) where t.id = d.id`.execute(db)
}

interface Renamed {
  id: string
  name: string
  /** The owner, if names are unique for each owner. */
  scope: string | null
}

interface Duplicate extends Renamed {
  name_key: string
}

/** Renames all but the oldest of one name. A built-in type, which has no owner, keeps its name. */
async function separateNames(db: Db, named: Named, notice: Notice): Promise<void> {
  const { table, column, what, uniqueIn, touched } = named
  const within = sql.raw(uniqueIn ? `${uniqueIn}, ` : '')
  const scope = uniqueIn ? sql.ref(uniqueIn) : sql`null::uuid`
  for (;;) {
    const { rows } = await sql<Duplicate>`
      select * from (
        select id, ${sql.ref(column)} as name, name_key, ${scope} as scope, row_number() over (
          partition by ${within} name_key order by (owner_id is not null), created_at, id) as place
        from ${sql.table(table)}) named
      where place > 1 limit ${BATCH}`.execute(db)
    if (rows.length === 0) return
    const renamed = await chooseNames(db, named, rows)
    const [ids, names] = [rows.map(({ id }) => id), rows.map((row) => renamed.get(row)!)]
    await sql`update ${sql.table(table)} t
      set ${sql.raw(column)} = d.name, name_key = d.key ${sql.raw(touched!)}
      from unnest(${ids}::uuid[], ${names}::text[], ${names.map(fold)}::text[]) d(id, name, key)
      where t.id = d.id`.execute(db)
    const changed = rows.map((row, index) => ({ ...row, name: names[index]! }))
    await recordRenames(db, what, changed)
    rows.forEach(({ id, name }, index) => {
      notice(`The ${what} ${id} has the name of an older one, "${name}"; it is now "${names[index]}".`)
    })
  }
}

/** Returns a free name for each row: its name with ` (2)`, ` (3)` and so on. */
async function chooseNames(db: Db, { table, uniqueIn }: Named, rows: readonly Duplicate[]) {
  const chosen = new Map<Duplicate, string>()
  const used = new Set<string>()
  const numbers = new Map<string, number>()
  const within = (row: Duplicate, key: string) => JSON.stringify([row.scope, key])
  for (let pending = rows; pending.length > 0; ) {
    for (const row of pending) {
      const group = within(row, row.name_key)
      numbers.set(group, (numbers.get(group) ?? 1) + 1)
      chosen.set(row, withSuffix(row.name, ` (${numbers.get(group)})`))
    }
    const keys = pending.map((row) => fold(chosen.get(row)!))
    const { rows: taken } = await sql<{ scope: string | null; name_key: string }>`
      select distinct w.scope, w.name_key
      from unnest(${pending.map(({ scope }) => scope)}::uuid[], ${keys}::text[]) w(scope, name_key)
      join ${sql.table(table)} t on t.name_key = w.name_key
        ${uniqueIn ? sql`and t.${sql.ref(uniqueIn)} = w.scope` : sql``}`.execute(db)
    const isTaken = new Set(taken.map(({ scope, name_key }) => JSON.stringify([scope, name_key])))
    pending = pending.filter((row, index) => {
      const place = within(row, keys[index]!)
      if (isTaken.has(place) || used.has(place)) return true
      used.add(place)
      return false
    })
  }
  return chosen
}

/** Adds the events of the changes to the audit log. */
async function recordRenames(db: Db, what: string, rows: readonly Renamed[]) {
  if (rows.length === 0) return
  const type = what.replace(' ', '-')
  await sql`insert into audit_events (id, action, outcome, actor_type, actor_name, target_type, target_id,
      target_name, owner_id, details)
    select d.id, ${`${type}.updated`}, 'allowed', 'system', 'service', ${type}, d.target_id, d.name,
      d.owner_id, '{"reason": "folded-names"}'
    from unnest(${rows.map(newId)}::uuid[], ${rows.map(({ id }) => id)}::uuid[],
      ${rows.map(({ name }) => name)}::text[],
      ${rows.map(({ scope }) => scope)}::uuid[]) d(id, target_id, name, owner_id)`.execute(db)
}

/** A UUIDv7 (RFC 9562). */
function newId(): string {
  const time = Date.now().toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15)}`
}

/** Gives all but the oldest user of one e-mail address another: some locales took it for two addresses. */
async function separateEmails(db: Db, notice: Notice): Promise<void> {
  const { rows } = await sql<{ id: string; name: string; email: string }>`
    select id, name, email from (
      select id, name, email,
        row_number() over (partition by email_hash(email) order by created_at, id) as place
      from users) addressed
    where place > 1`.execute(db)
  for (const { id, name, email } of rows) {
    for (let number = 2; ; number++) {
      const suffix = `+${number}`
      const at = email.indexOf('@')
      const local = email.slice(0, Math.min(at, at + MAX_EMAIL - email.length - suffix.length))
      const other = `${local}${suffix}${email.slice(at)}`
      const { rows: taken } =
        await sql`select from users where email_hash(email) = email_hash(${other})`.execute(db)
      if (taken.length > 0) continue
      await sql`update users set email = ${other}, updated_at = now() where id = ${id}`.execute(db)
      await recordRenames(db, 'user', [{ id, name, scope: null }])
      notice(`The user ${id} has the e-mail address of an older one, ${email}; it is now ${other}.`)
      break
    }
  }
}
