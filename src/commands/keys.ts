import { systemOrigin } from '../audit/record.ts'
import type { Config } from '../config.ts'
import type { Database } from '../db/database.ts'
import { destroyDataKey } from '../features/keys/destroy.ts'
import { rotateDataKey } from '../features/keys/rotate.ts'
import { keyStatus, statusLines } from '../features/keys/status.ts'
import { print } from '../terminal.ts'
import { type Command, rootKeysOf, withDatabase } from './command.ts'

/** Counting the values of a data key takes as long as it takes. */
const WITHOUT_TIME_LIMIT = { query_timeout: 0, statement_timeout: '0' }

export const keyCommands: Record<string, Command> = {
  'keys status': {
    description: 'show the data keys, how many values each encrypts, and the progress of re-encryption',
    details: `Prints a table with a row for each data key, and the fingerprint of the root key that encrypts
it. With \`--json\`, prints one JSON object.`,
    example: 'latchkey keys status',
    options: ['json'],
    onlyPrints: true,
    run: (config, { options }) =>
      withDatabase(config, (db) => showKeys(db, options.json ?? false), WITHOUT_TIME_LIMIT)
  },
  'keys rotate': {
    description: 'create a data key; running services re-encrypt all values with it',
    details: `See [rotate the data key](../operations/keys.md#rotate-the-data-key). The service does the
same when the current data key is older than \`LATCHKEY_DATA_KEY_MAX_DAYS\`.`,
    example: 'latchkey keys rotate',
    run: (config) => withDatabase(config, (db) => rotateKeys(config, db))
  },
  'keys destroy': {
    description: 'delete a retired data key that no longer encrypts anything',
    details: `The argument is the number of the data key in \`keys status\`. The command fails if the key is
the current one, if it still encrypts something, or if it was retired less than 60 seconds ago.`,
    example: 'latchkey keys destroy 1',
    argument: '<number>',
    run: (config, { argument }) => withDatabase(config, (db) => destroyKey(db, argument), WITHOUT_TIME_LIMIT)
  }
}

async function showKeys(db: Database, json: boolean) {
  const status = await keyStatus(db)
  for (const line of json ? [JSON.stringify(status)] : statusLines(status)) print(line)
}

async function rotateKeys(config: Config, db: Database) {
  const [rootKey] = await rootKeysOf(config)
  const number = await rotateDataKey(db, rootKey!, systemOrigin('command line'), 'asked')
  print(
    `Data key ${number} is current. Running services use it within seconds and re-encrypt the other values.`
  )
}

async function destroyKey(db: Database, number: string) {
  if (!/^[1-9]\d{0,8}$/.test(number))
    throw new Error('"keys destroy" takes the number of a data key, such as 1')
  await destroyDataKey(db, Number(number), systemOrigin('command line'))
  print(`Data key ${number} is destroyed.`)
}
