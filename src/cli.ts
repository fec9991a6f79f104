#!/usr/bin/env node
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { type Broken, verifyChain } from './audit/chain.ts'
import { exportLines } from './audit/export.ts'
import { systemOrigin } from './audit/record.ts'
import { type Config, readConfig } from './config.ts'
import { Keyring } from './crypto/keyring.ts'
import { createDatabase, type Database } from './db/database.ts'
import { migrate } from './db/migrate.ts'
import type { ConnectionOptions } from './db/pool.ts'
import { rootKeysIn } from './embedded/data-directory.ts'
import { startEmbedded } from './embedded/postgres.ts'
import { destroyDataKey } from './features/keys/destroy.ts'
import { rotateDataKey } from './features/keys/rotate.ts'
import { keyStatus, statusLines } from './features/keys/status.ts'
import { fail, requireNode, tell } from './terminal.ts'

requireNode(24)

interface Command {
  does: string
  /** What it takes after its name, as the list of commands shows it. */
  takes?: string
  run(config: Config, words: string[]): Promise<void>
}

const commands: Record<string, Command> = {
  migrate: {
    does: 'bring the database to the newest tables',
    run: (config) => withDatabase(config, migrateDatabase, { query_timeout: 0 })
  },
  'audit verify': {
    does: 'walk the audit chain and name the first event that is not as it was sealed, or not in it',
    run: (config) => withDatabase(config, verifyAudit, { query_timeout: 0 })
  },
  'audit export': {
    does: 'write all audit events as JSON Lines, oldest first',
    run: (config) => withDatabase(config, exportAudit)
  },
  'keys status': {
    does: 'show the data keys, what is under each, and how far re-encryption is',
    takes: '[--json]',
    run: (config, words) => withDatabase(config, (db) => showKeys(db, words))
  },
  'keys rotate': {
    does: 'make a new data key; the service seals everything anew under it',
    run: (config) => withDatabase(config, (db) => rotateKeys(config, db))
  },
  'keys destroy': {
    does: 'delete a retired data key that nothing is under, before its time',
    takes: '<number>',
    run: (config, words) => withDatabase(config, (db) => destroyKey(db, words))
  },
  openapi: { does: 'write openapi.yaml from the code', run: writeOpenapi }
}

async function withDatabase(
  config: Config,
  work: (db: Database) => Promise<void>,
  options: ConnectionOptions = {}
) {
  const embedded = config.databaseUrl ? undefined : await startEmbedded({ directory: config.dataDirectory })
  const connection = embedded?.connection ?? { connectionString: config.databaseUrl! }
  const db = createDatabase({ ...connection, ...options })
  try {
    await work(db)
  } finally {
    await db.destroy()
    await embedded?.stop()
  }
}

async function migrateDatabase(db: Database) {
  const steps = await migrate(db)
  tell(steps.length > 0 ? `Ran ${steps.join(', ')}.` : 'Nothing to do.')
}

async function verifyAudit(db: Database) {
  const { verified, unsealed, head, broken } = await verifyChain(db)
  if (broken) throw new Error(sentenceOf(broken, verified))
  tell(
    `${verified} events are right, ${unsealed} are not sealed yet. Head: ${head.position} ${head.hash.toString('hex')}`
  )
}

function sentenceOf({ what, position, id }: Broken, verified: number): string {
  const event = id ? `event ${id}` : 'the event'
  return position
    ? `${event} at position ${position} of the audit chain is ${what}; ${verified} before it are right`
    : `${event} is ${what}, and not in the audit chain; ${verified} are in it and right`
}

async function exportAudit(db: Database) {
  for await (const line of exportLines(db)) tell(line)
}

async function showKeys(db: Database, words: string[]) {
  if (words.length > (words[0] === '--json' ? 1 : 0)) throw new Error('keys status takes --json or nothing')
  const status = await keyStatus(db)
  for (const line of words[0] === '--json' ? [JSON.stringify(status)] : statusLines(status)) tell(line)
}

async function rotateKeys(config: Config, db: Database) {
  const [rootKey] = config.rootKeys ?? (await rootKeysIn(config.dataDirectory)).keys
  const number = await rotateDataKey(db, rootKey!, systemOrigin('command line'), 'asked')
  tell(`Data key ${number} is current. A running service uses it within seconds, and seals the rest anew.`)
}

async function destroyKey(db: Database, words: string[]) {
  if (words.length !== 1 || !/^[1-9]\d{0,8}$/.test(words[0]!))
    throw new Error('keys destroy takes the number of one data key')
  const number = Number(words[0])
  await destroyDataKey(db, number, systemOrigin('command line'))
  tell(`Data key ${number} is destroyed.`)
}

// The document says nothing of any database or key, so it is written from an app that has neither.
async function writeOpenapi() {
  // Only here: the other commands start faster without the whole service.
  const { buildApp } = await import('./app.ts')
  const { openapiYaml } = await import('./http/openapi.ts')
  const config = readConfig({ LOG_LEVEL: 'silent' })
  const db = createDatabase({})
  const app = await buildApp({ config, db, keyring: new Keyring(new Map([[1, randomBytes(32)]]), 1) })
  await app.ready()
  await writeFile('openapi.yaml', openapiYaml(app))
  await app.close()
  await db.destroy()
  tell('Wrote openapi.yaml.')
}

const given = process.argv.slice(2)
const name = Object.keys(commands).find((one) => one.split(' ').every((word, index) => word === given[index]))
const words = given.slice(name?.split(' ').length)
const command = name === undefined ? undefined : commands[name]!
if (!command || (words.length > 0 && !command.takes)) {
  const shown = Object.entries(commands).map(([one, { takes }]) => (takes ? `${one} ${takes}` : one))
  const width = Math.max(...shown.map((one) => one.length))
  const lines = Object.values(commands).map(({ does }, index) => `  ${shown[index]!.padEnd(width)}  ${does}`)
  fail(`a command is needed:\n${lines.join('\n')}`)
}
try {
  await command.run(readConfig(), words)
} catch (error) {
  fail((error as Error).message)
}
