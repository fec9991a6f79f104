import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { readConfig } from '../config.ts'
import { Keyring } from '../crypto/keyring.ts'
import { createDatabase } from '../db/database.ts'
import { print } from '../terminal.ts'
import type { Command } from './command.ts'

export const openapiCommand: Command = {
  description: 'write openapi.yaml from the code',
  details: `For developers of Latchkey: writes the OpenAPI document to the current directory. It needs no
database.`,
  example: 'latchkey openapi',
  run: writeOpenapi
}

// The document depends on no database or key, so this app has neither.
async function writeOpenapi() {
  // Imported here, because the other commands start faster without the whole service.
  const { buildApp } = await import('../app.ts')
  const { openapiYaml } = await import('../http/openapi.ts')
  const config = readConfig({ LOG_LEVEL: 'silent' })
  const db = createDatabase({})
  const app = await buildApp({ config, db, keyring: new Keyring(new Map([[1, randomBytes(32)]]), 1) })
  await app.ready()
  await writeFile('openapi.yaml', openapiYaml(app))
  await app.close()
  await db.destroy()
  print('Wrote openapi.yaml.')
}
