import type { Database } from '../db/database.ts'
import { requireFirstTables } from '../db/first-tables.ts'
import { migrate, migrateFor, WITHOUT_LIMITS } from '../db/migrate.ts'
import { print } from '../terminal.ts'
import { type Command, withDatabase } from './command.ts'

export const migrateCommand: Command = {
  description: 'bring the database to the newest tables, and give a role the rights to serve requests',
  options: ['grant-to'],
  run: (config, { options }) =>
    withDatabase(config, (db) => migrateDatabase(db, options['grant-to']), {
      asOwner: true,
      ...WITHOUT_LIMITS
    })
}

async function migrateDatabase(db: Database, role: string | undefined) {
  await requireFirstTables(db)
  const steps = await (role === undefined
    ? migrate(db, { notice: print })
    : migrateFor(db, role, { notice: print }))
  print(steps.length > 0 ? `Ran ${steps.join(', ')}.` : 'Nothing to do.')
  if (role !== undefined) print(`The role ${role} has the rights to serve requests.`)
}
