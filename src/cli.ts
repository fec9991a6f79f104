#!/usr/bin/env node
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { buildApp } from './app.ts'
import { type Config, readConfig } from './config.ts'
import { Keyring } from './crypto/keyring.ts'
import { createDatabase, type Database } from './db/database.ts'
import { startEmbedded } from './db/embedded.ts'
import { migrate } from './db/migrate.ts'
import { verifyChain } from './features/audit/chain.ts'
import { exportLines } from './features/audit/export.ts'
import { openapiYaml } from './plugins/contract.ts'
import { fail, requireNode, tell } from './terminal.ts'

requireNode(24)

const commands: Record<string, { does: string; run(config: Config): Promise<void> }> = {
  migrate: {
    does: 'bring the database to the newest tables',
    run: (config) => withDatabase(config, migrateDatabase)
  },
  'audit verify': {
    does: 'walk the audit chain and name the first event that is not as it was sealed',
    run: (config) => withDatabase(config, verifyAudit)
  },
  'audit export': {
    does: 'write all audit events as JSON Lines, oldest first',
    run: (config) => withDatabase(config, exportAudit)
  },
  openapi: { does: 'write openapi.yaml from the code', run: writeOpenapi }
}

async function withDatabase(config: Config, work: (db: Database) => Promise<void>) {
  const embedded = config.databaseUrl ? undefined : await startEmbedded({ directory: config.dataDirectory })
  const db = createDatabase(embedded?.connection ?? { connectionString: config.databaseUrl! })
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
  if (broken) {
    const which = broken.id ? `event ${broken.id}` : 'the event'
    throw new Error(
      `${which} at position ${broken.position} of the audit chain is ${broken.what}; ${verified} before it are right`
    )
  }
  tell(
    `${verified} events are right, ${unsealed} are not sealed yet. Head: ${head.position} ${head.hash.toString('hex')}`
  )
}

async function exportAudit(db: Database) {
  for await (const line of exportLines(db)) tell(line)
}

// The document says nothing of any database or key, so it is written from an app that has neither.
async function writeOpenapi() {
  const config = readConfig({ LOG_LEVEL: 'silent' })
  const db = createDatabase({})
  const app = await buildApp({ config, db, keyring: new Keyring(new Map([[1, randomBytes(32)]]), 1) })
  await app.ready()
  await writeFile('openapi.yaml', openapiYaml(app))
  await app.close()
  await db.destroy()
  tell('Wrote openapi.yaml.')
}

const name = process.argv.slice(2).join(' ')
const command = commands[name]
if (!command) {
  const width = Math.max(...Object.keys(commands).map((one) => one.length))
  const lines = Object.entries(commands).map(([one, { does }]) => `  ${one.padEnd(width)}  ${does}`)
  fail(`a command is needed:\n${lines.join('\n')}`)
}
try {
  await command.run(readConfig())
} catch (error) {
  fail((error as Error).message)
}
