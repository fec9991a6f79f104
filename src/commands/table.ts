import { auditCommands } from './audit.ts'
import { auditArchiveCommands } from './audit-archive.ts'
import { backupCommands } from './backup.ts'
import { type Command, commandOptions } from './command.ts'
import { keyCommands } from './keys.ts'
import { migrateCommand } from './migrate.ts'
import { openapiCommand } from './openapi.ts'
import { startCommand } from './start.ts'
import { userCommands } from './users.ts'

/** All commands by name, for `latchkey`, its help and docs/reference/cli.md. */
export const commands: Readonly<Record<string, Command>> = {
  start: startCommand,
  migrate: migrateCommand,
  ...userCommands,
  ...auditCommands,
  ...auditArchiveCommands,
  ...keyCommands,
  ...backupCommands,
  openapi: openapiCommand
}

/** The options of `latchkey` itself. */
export const generalOptions: readonly [usage: string, help: string][] = [
  ['-h, --help', 'show this help, or the help of a command'],
  ['-v, --version', 'show the version']
]

/** The name of a command with its argument and options, as in `keys destroy <number>`. */
export function usageOf(name: string): string {
  const { argument, options = [] } = commands[name]!
  const usages = options.map((option) => {
    const { usage, ...rest } = commandOptions[option]
    return 'multiple' in rest ? `[${usage}]…` : `[${usage}]`
  })
  return [name, argument, ...usages].filter(Boolean).join(' ')
}
