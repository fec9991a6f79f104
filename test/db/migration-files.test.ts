import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { MIGRATIONS } from '../../src/db/migration-files.ts'
import { isOfFirstRelease } from '../../src/db/migration-records.ts'

const files = (await readdir(MIGRATIONS)).filter((file) => file.endsWith('.ts')).sort()
const read = (file: string) => readFile(join(MIGRATIONS, file), 'utf8')

t.test('merged migrations do not change', async (t) => {
  const sums = (await read('SHA256SUMS')).trimEnd().split('\n')
  t.ok(sums.length >= 18)
  const actual = await Promise.all(
    files.map(
      async (file) =>
        `${createHash('sha256')
          .update(await read(file))
          .digest('hex')}  ${file}`
    )
  )
  t.same(actual, sums, 'migrations/SHA256SUMS has a line for each file; a new file adds one')
})

t.test('the first release has eighteen migrations', async (t) => {
  const first = files.filter((file) => isOfFirstRelease({ name: file.replace('.ts', '') }))
  t.equal(first.length, 18)
})

/** Changes that break or block older versions that serve requests, each with an example. */
const RULES: { what: string; pattern: RegExp; example: string; contracts?: true }[] = [
  {
    what: 'makes an index of an existing table and blocks its writers: export `indexes`',
    pattern: /\bcreate (unique )?index (?!concurrently)[^()]*? on (only )?(?<table>\w+)/,
    example: 'create index users_name on users (name)'
  },
  {
    what: 'changes many rows in one transaction: export `batch`',
    pattern:
      /\b(update (only )?(?<table>\w+) (\w+ )?set|delete from (?<from>\w+)|insert into \w+.*? select)\b/,
    example: 'update users set name_key = lower(name)'
  },
  {
    what: 'rewrites a table, or reads all of it, under a lock',
    pattern: new RegExp(
      [
        String.raw`\balter (column )?\w+ (set data )?type\b`,
        String.raw`\bset not null\b`,
        // Volatile defaults and generated columns.
        String.raw`\badd (column )?[^,]*?(serial\b|random(_uuid)?\(|clock_timestamp|nextval|generated)`,
        String.raw`\b(cluster|vacuum full)\b`
      ].join('|')
    ),
    example: 'alter table users alter column name type varchar(9)'
  },
  {
    what: 'checks all rows under a lock: add the constraint `not valid`, and validate it in another file',
    pattern: /\balter table (?<table>\w+) add (constraint \w+ )?(check|foreign key)(?!.*not valid)/,
    example: 'alter table users add constraint users_name_check check (name <> $$$$)'
  },
  {
    what: 'makes an index under a lock: export `indexes`, and add the constraint `using index`',
    pattern: /\balter table (?<table>\w+) add (constraint \w+ )?(unique|primary key|exclude)(?! using index)/,
    example: 'alter table users add constraint users_name unique (name)'
  },
  {
    what: 'needs a value that older versions do not write: give the column a default',
    pattern: /\badd (column )?(?!constraint)\w+ [^,]*\bnot null\b(?![^,]*default)(?<!default[^,]*)/,
    example: 'alter table users add note text not null'
  },
  {
    what: 'locks or empties a table',
    pattern: /\block table\b|(?<!before )\btruncate\b/,
    example: 'lock table users in exclusive mode'
  },
  {
    what: 'takes away what older versions use: export `minVersion`, the release that stopped using it',
    pattern: new RegExp(
      [
        String.raw`\bdrop (table|column|index|view|function|constraint|trigger|type|schema|default)\b`,
        String.raw`\balter table \w+ drop\b`,
        String.raw`\brename\b`
      ].join('|')
    ),
    example: 'alter table users drop column name',
    contracts: true
  }
]

/** Returns the rules that the text of a migration breaks. */
function faults(text: string): string[] {
  const statements = text
    .replace(/^\s*\/\/.*$/gm, '')
    .replace(/--.*$/gm, '')
    // The bodies of functions do not run during the migration.
    .replace(/\bas \$(\w*)\$[\s\S]*?\$\1\$/g, '')
    .replace(/\s+/g, ' ')
    .toLowerCase()
  const created = new Set([...statements.matchAll(/\bcreate table (if not exists )?(\w+)/g)].map((m) => m[2]))
  const isOnline = /\bexport (const|async function|function) batch\b/.test(text)
  return RULES.filter(({ pattern, contracts }) => {
    if (contracts && /\bexport const minVersion = '\d+\.\d+\.\d+'/.test(text)) return false
    if (isOnline && pattern === RULES[1]!.pattern) return false
    return [...statements.matchAll(new RegExp(pattern, 'g'))].some(
      ({ groups }) => !created.has(groups?.table ?? groups?.from ?? '')
    )
  }).map(({ what }) => what)
}

t.test('the rules find their examples and accept safe statements', async (t) => {
  for (const { what, example } of RULES) t.match(faults(`sql\`${example}\``), [what], example)
  const allowed = [
    'create table notes (id uuid primary key, text text not null); create index notes_text on notes (text)',
    'create table notes (id uuid); insert into notes values (1)',
    'alter table users add note text; alter table users add counted integer not null default 0',
    'alter table users add constraint c check (name is not null) not valid',
    'alter table users validate constraint c',
    'alter table users add constraint c unique using index users_name',
    'create function f() returns trigger language plpgsql as $$ begin update users set name = 1; end $$',
    'create trigger t before update of name on users for each row execute function f()',
    'create trigger t before truncate on users for each statement execute function f()'
  ]
  for (const text of allowed) t.same(faults(`sql\`${text}\``), [], text)
  t.same(faults(`export const batch = (db) => sql\`update users set note = name where id > 1\``), [])
  t.same(faults(`export const minVersion = '1.1.0'\nsql\`alter table users drop column name\``), [])
  t.same(faults(`export const indexes = ['create index concurrently users_note on users (note)']`), [])
  const old = await Promise.all(files.map(async (file) => faults(await read(file))))
  t.ok(old.flat().length > 5, 'migrations before the first release break them')
})

t.test('migrations after the first release follow the rules', async (t) => {
  for (const file of files) {
    if (isOfFirstRelease({ name: file.replace('.ts', '') })) continue
    for (const fault of faults(await read(file))) t.fail(`${file} ${fault}`)
  }
})
