#!/usr/bin/env node
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { buildApp } from './app.ts'
import { type Config, ConfigError, readConfig } from './config.ts'
import { Keyring } from './crypto/keyring.ts'
import { createDatabase } from './db/database.ts'
import { migrate } from './db/migrate.ts'
import { openapiYaml } from './plugins/contract.ts'
import { fail, requireNode, tell } from './terminal.ts'

requireNode(24)

const commands: Record<string, { does: string; run(config: Config): Promise<void> }> = {
  migrate: { does: 'bring the database at DATABASE_URL to the newest tables', run: migrateDatabase },
  openapi: { does: 'write openapi.yaml from the code', run: writeOpenapi }
}

async function migrateDatabase({ databaseUrl }: Config) {
  if (!databaseUrl)
    throw new ConfigError('DATABASE_URL', 'is needed: the embedded database is migrated at every start')
  const db = createDatabase({ connectionString: databaseUrl })
  try {
    const steps = await migrate(db)
    tell(steps.length > 0 ? `Ran ${steps.join(', ')}.` : 'Nothing to do.')
  } finally {
    await db.destroy()
  }
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

const [name = ''] = process.argv.slice(2)
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
