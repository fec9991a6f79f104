#!/usr/bin/env node
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import packageJson from '../package.json' with { type: 'json' }
import { type Broken, verifyChain } from './audit/chain.ts'
import { exportLines } from './audit/export.ts'
import { systemOrigin } from './audit/record.ts'
import { type Config, readConfig, variables } from './config.ts'
import { Keyring } from './crypto/keyring.ts'
import { type ConnectionOptions, createDatabase, type Database } from './db/database.ts'
import { migrate, migrateFor } from './db/migrate.ts'
import { rootKeysIn } from './embedded/data-directory.ts'
import { startEmbedded } from './embedded/postgres.ts'
import { destroyDataKey } from './features/keys/destroy.ts'
import { rotateDataKey } from './features/keys/rotate.ts'
import { keyStatus, statusLines } from './features/keys/status.ts'
import { fail, print, requireNode } from './terminal.ts'

requireNode(24)

interface Command {
  description: string
  /** The argument, as shown in the help. */
  argument?: string
  json?: true
  grantTo?: true
  run(config: Config, options: Options): Promise<void>
}

interface Options {
  argument: string
  json: boolean
  /** The database role that gets the rights of the service. */
  grantTo: string | undefined
}

const commands: Record<string, Command> = {
  migrate: {
    description: 'bring the database to the newest tables, and give a role the rights to serve requests',
    grantTo: true,
    run: ({ dataDirectory, migrationDatabaseUrl, databaseUrl }, { grantTo }) =>
      withDatabase(
        { dataDirectory, databaseUrl: migrationDatabaseUrl ?? databaseUrl },
        (db) => migrateDatabase(db, grantTo),
        { query_timeout: 0, statement_timeout: '0' }
      )
  },
  'audit verify': {
    description: 'check the audit chain and name the first event that was changed, removed or added',
    run: (config) => withDatabase(config, verifyAudit, { query_timeout: 0 })
  },
  'audit export': {
    description: 'write all audit events as JSON Lines, oldest first',
    run: (config) => withDatabase(config, exportAudit)
  },
  'keys status': {
    description: 'show the data keys, how many values each encrypts, and the progress of re-encryption',
    json: true,
    run: (config, { json }) => withDatabase(config, (db) => showKeys(db, json))
  },
  'keys rotate': {
    description: 'create a new data key; running services re-encrypt all values under it',
    run: (config) => withDatabase(config, (db) => rotateKeys(config, db))
  },
  'keys destroy': {
    description: 'delete a retired data key that nothing uses any more',
    argument: '<number>',
    run: (config, { argument }) => withDatabase(config, (db) => destroyKey(db, argument))
  },
  openapi: { description: 'write openapi.yaml from the code', run: writeOpenapi }
}

/** Runs `work` on the database of the service or, if that is embedded, as the owner of its tables. */
async function withDatabase(
  config: Pick<Config, 'databaseUrl' | 'dataDirectory'>,
  work: (db: Database) => Promise<void>,
  options: ConnectionOptions = {}
) {
  const embedded = config.databaseUrl ? undefined : await startEmbedded({ directory: config.dataDirectory })
  const connection = embedded?.owner ?? { connectionString: config.databaseUrl! }
  const db = createDatabase({ ...connection, ...options })
  try {
    await work(db)
  } finally {
    await db.destroy()
    await embedded?.stop()
  }
}

async function migrateDatabase(db: Database, role: string | undefined) {
  const steps = await (role === undefined ? migrate(db, print) : migrateFor(db, role, print))
  print(steps.length > 0 ? `Ran ${steps.join(', ')}.` : 'Nothing to do.')
  if (role !== undefined) print(`The role ${role} has the rights to serve requests.`)
}

async function verifyAudit(db: Database) {
  const { verified, unsealed, head, broken } = await verifyChain(db)
  if (broken) throw new Error(describe(broken, verified))
  const { position, hash } = head
  print(
    `${verified} events are right, ${unsealed} are not sealed yet. Head: ${position} ${hash.toString('hex')}`
  )
}

function describe({ what, position, id }: Broken, verified: number): string {
  const event = id ? `event ${id}` : 'the event'
  return position
    ? `${event} at position ${position} of the audit chain is ${what}; ${verified} before it are right`
    : `${event} is ${what}, and not in the audit chain; ${verified} are in it and right`
}

async function exportAudit(db: Database) {
  for await (const line of exportLines(db)) print(line)
}

async function showKeys(db: Database, json: boolean) {
  const status = await keyStatus(db)
  for (const line of json ? [JSON.stringify(status)] : statusLines(status)) print(line)
}

async function rotateKeys(config: Config, db: Database) {
  const [rootKey] = config.rootKeys ?? (await rootKeysIn(config.dataDirectory)).keys
  const number = await rotateDataKey(db, rootKey!, systemOrigin('command line'), 'asked')
  print(`Data key ${number} is current. Running services use it within seconds, and re-encrypt the rest.`)
}

async function destroyKey(db: Database, number: string) {
  if (!/^[1-9]\d{0,8}$/.test(number)) throw new Error('keys destroy takes the number of one data key')
  await destroyDataKey(db, Number(number), systemOrigin('command line'))
  print(`Data key ${number} is destroyed.`)
}

// The document depends on no database or key, so this app has neither.
async function writeOpenapi() {
  // Imported here, because the other commands start faster without the whole service.
  const { buildApp } = await import('./app.ts')
  const { openapiYaml } = await import('./http/openapi.ts')
  const config = readConfig({ LOG_LEVEL: 'silent' })
  const db = createDatabase({})
  const app = await buildApp({ config, db, keyring: new Keyring(new Map([[1, randomBytes(32)]]), 1) })
  await app.ready()
  await writeFile('openapi.yaml', openapiYaml(app))
  await app.close()
  await db.destroy()
  print('Wrote openapi.yaml.')
}

const names = Object.keys(commands)

const startsWith = (words: readonly string[], prefix: readonly string[]) =>
  prefix.every((word, index) => words[index] === word)

function usageOf(name: string): string {
  const { argument, json, grantTo } = commands[name]!
  return [name, argument, json && '[--json]', grantTo && '[--grant-to <role>]'].filter(Boolean).join(' ')
}

function table(rows: [string, string][]): string {
  const width = Math.max(...rows.map(([first]) => first.length))
  return rows.map(([first, second]) => `  ${first.padEnd(width)}  ${second}`).join('\n')
}

const listOf = (some: string[]) => table(some.map((name) => [usageOf(name), commands[name]!.description]))

function help(): string {
  const options: [string, string][] = [
    ['-h, --help', 'show this help, or that of a command'],
    ['-v, --version', 'show the version']
  ]
  const settings = variables.map(({ name, description, fallback }): [string, string] => [
    name,
    fallback === undefined || String(fallback) === '' ? description : `${description} (default ${fallback})`
  ])
  return [
    'Usage: latchkey <command> [options]',
    `Commands:\n${listOf(names)}`,
    `Options:\n${table(options)}`,
    `Environment variables, the same as for the service:\n${table(settings)}`
  ].join('\n\n')
}

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean', short: 'v' },
      json: { type: 'boolean', default: false },
      'grant-to': { type: 'string' }
    }
  })
  if (values.version) return print(packageJson.version)
  const name = names.find((one) => startsWith(positionals, one.split(' ')))
  if (values.help) {
    if (positionals.length === 0) return print(help())
    const group = names.filter((one) => one === name || startsWith(one.split(' '), positionals))
    if (group.length > 0) return print(`Usage: latchkey <command> [options]\n\n${listOf(group)}`)
  }
  if (!name) {
    const problem =
      positionals.length > 0 ? `unknown command "${positionals.join(' ')}"` : 'a command is needed'
    throw new Error(`${problem}; the commands are:\n${listOf(names)}`)
  }
  const command = commands[name]!
  const rest = positionals.slice(name.split(' ').length)
  const grantTo = values['grant-to']
  const unfit = (values.json && !command.json) || (grantTo !== undefined && !command.grantTo)
  if (rest.length !== (command.argument ? 1 : 0) || unfit) {
    throw new Error(`usage: latchkey ${usageOf(name)}`)
  }
  await command.run(readConfig(), { argument: rest[0] ?? '', json: values.json, grantTo })
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  fail((error as Error).message)
}
