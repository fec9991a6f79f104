import { join } from 'node:path'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { createTestDatabase } from '../helpers/database.ts'

const root = join(import.meta.dirname, '../..')

interface Column {
  /** The JavaScript type of values. */
  type: string
  nullable: boolean
  /** True if inserts may omit the column. */
  optional: boolean
}

/** Columns by `table.column`. */
type Schema = Map<string, Column>

/** Reads the tables and types that src/db/tables.ts declares, as the result types of queries. */
function readDeclared(): Schema {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const path = join(root, 'src/db/declared.ts')
  const source = `import type { Insertable, Selectable } from 'kysely'
    import type { Tables } from './tables.ts'
    export type Selected = { [T in keyof Tables]: Selectable<Tables[T]> }
    export type Inserted = { [T in keyof Tables]: Insertable<Tables[T]> }`
  const host = ts.createCompilerHost(options)
  const { getSourceFile } = host
  host.getSourceFile = (name, target, ...rest) =>
    name === path
      ? ts.createSourceFile(name, source, target)
      : getSourceFile.call(host, name, target, ...rest)
  const program = ts.createProgram([path], options, host)
  const checker = program.getTypeChecker()
  const file = program.getSourceFile(path)!
  const [selected, inserted] = checker
    .getExportsOfModule(checker.getSymbolAtLocation(file)!)
    .map((symbol) => checker.getDeclaredTypeOfSymbol(symbol))

  const schema: Schema = new Map()
  for (const table of selected!.getProperties()) {
    const insertable = checker.getTypeOfSymbol(inserted!.getProperty(table.name)!)
    for (const column of checker.getTypeOfSymbol(table).getProperties()) {
      const type = checker.getTypeOfSymbol(column)
      const insertion = insertable.getProperty(column.name)!
      schema.set(`${table.name}.${column.name}`, {
        type: nameOfType(type, checker),
        nullable: checker.getNonNullableType(type) !== type,
        optional: (insertion.flags & ts.SymbolFlags.Optional) !== 0
      })
    }
  }
  return schema
}

function nameOfType(type: ts.Type, checker: ts.TypeChecker): string {
  const value = checker.getNonNullableType(type)
  const members = value.isUnion() ? value.types : [value]
  const all = (flags: ts.TypeFlags) => members.every((member) => (member.flags & flags) !== 0)
  if (all(ts.TypeFlags.StringLike)) return 'string'
  if (all(ts.TypeFlags.NumberLike)) return 'number'
  if (all(ts.TypeFlags.BigIntLike)) return 'bigint'
  if (all(ts.TypeFlags.BooleanLike)) return 'boolean'
  if (checker.isArrayType(value))
    return `${nameOfType(checker.getTypeArguments(value as ts.TypeReference)[0]!, checker)}[]`
  const name = checker.typeToString(value)
  return name.startsWith('Record<') || name === 'FieldConstraints' ? 'json' : name.replace(/<.*/, '')
}

/** The JavaScript types of values, by Postgres type. */
const TYPES: Record<string, string> = {
  uuid: 'string',
  text: 'string',
  int2: 'number',
  int4: 'number',
  int8: 'number',
  bool: 'boolean',
  bytea: 'Buffer',
  timestamptz: 'Date',
  jsonb: 'json',
  // Selected as text.
  json: 'string',
  _text: 'string[]'
}

async function readMigrated(t: Test): Promise<Schema> {
  const { db, drop } = await createTestDatabase()
  t.teardown(drop)
  const { rows } = await sql<{ name: string; type: string; nullable: boolean; optional: boolean }>`
    select table_name || '.' || column_name as name, udt_name as type, is_nullable = 'YES' as nullable,
      is_nullable = 'YES' or column_default is not null or is_identity = 'YES' as optional
    from information_schema.columns
    where table_schema = 'public'
      and table_name not in ('kysely_migration', 'schema_migrations', 'audit_partitions')
      -- Partitions that are made by the time.
      and table_name !~ '^audit_(log|links)_[0-9]+$'`.execute(db)
  return new Map(rows.map(({ name, type, ...rest }) => [name, { type: TYPES[type] ?? type, ...rest }]))
}

t.test('src/db/tables.ts declares the tables that the migrations create', async (t) => {
  const declared = readDeclared()
  const migrated = await readMigrated(t)
  t.ok(migrated.size > 100, `${migrated.size} columns`)
  t.same([...declared.keys()].sort(), [...migrated.keys()].sort(), 'the same tables and columns')
  for (const [name, { type, nullable, optional }] of migrated) {
    const column = declared.get(name)
    t.equal(column?.type, type, `the type of ${name}`)
    t.equal(column?.nullable, nullable, `${name} is ${nullable ? '' : 'not '}nullable`)
    if (column?.optional) t.ok(optional, `an insert may omit ${name}`)
  }
})
