import { systemOrigin } from '../audit/record.ts'
import { type Config, ConfigError } from '../config.ts'
import type { Database } from '../db/database.ts'
import { readRootKeys } from '../embedded/data-directory.ts'
import { destroyDataKey } from '../features/keys/destroy.ts'
import { rotateDataKey } from '../features/keys/rotate.ts'
import { keyStatus, statusLines } from '../features/keys/status.ts'
import { print } from '../terminal.ts'
import { type Command, withDatabase } from './command.ts'

export const keyCommands: Record<string, Command> = {
  'keys status': {
    description: 'show the data keys, how many values each encrypts, and the progress of re-encryption',
    options: ['json'],
    run: (config, { options }) => withDatabase(config, (db) => showKeys(db, options.json ?? false))
  },
  'keys rotate': {
    description: 'create a new data key; running services re-encrypt all values under it',
    run: (config) => withDatabase(config, (db) => rotateKeys(config, db))
  },
  'keys destroy': {
    description: 'delete a retired data key that nothing uses any more',
    argument: '<number>',
    run: (config, { argument }) => withDatabase(config, (db) => destroyKey(db, argument))
  }
}

async function showKeys(db: Database, json: boolean) {
  const status = await keyStatus(db)
  for (const line of json ? [JSON.stringify(status)] : statusLines(status)) print(line)
}

async function rotateKeys(config: Config, db: Database) {
  const [rootKey] = config.rootKeys ?? (await readRootKeys(config.dataDirectory)) ?? []
  if (!rootKey) throw new ConfigError('LATCHKEY_DATA_DIR', `has no root.keys (${config.dataDirectory})`)
  const number = await rotateDataKey(db, rootKey, systemOrigin('command line'), 'asked')
  print(`Data key ${number} is current. Running services use it within seconds, and re-encrypt the rest.`)
}

async function destroyKey(db: Database, number: string) {
  if (!/^[1-9]\d{0,8}$/.test(number)) throw new Error('keys destroy takes the number of one data key')
  await destroyDataKey(db, Number(number), systemOrigin('command line'))
  print(`Data key ${number} is destroyed.`)
}
