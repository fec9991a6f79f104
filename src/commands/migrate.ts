import type { Database } from '../db/database.ts'
import { requireFirstTables } from '../db/first-tables.ts'
import { migrate, migrateFor, WITHOUT_LIMITS } from '../db/migrate.ts'
import { print } from '../terminal.ts'
import { type Command, withDatabase } from './command.ts'

export const migrateCommand: Command = {
  description: 'run the pending migrations, and grant a role the rights to serve requests',
  details: `The service also does this at each start, so you need the command only if the role in
\`DATABASE_URL\` does not own the tables: see [database roles](../operations/database-roles.md), and
[upgrades](../operations/upgrades.md). It prints the names of the migrations that ran.`,
  example: 'latchkey migrate --grant-to latchkey_service',
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
  print(steps.length > 0 ? `Ran ${steps.join(', ')}.` : 'No pending migrations.')
  if (role !== undefined) print(`The role ${role} has the rights to serve requests.`)
}
