#!/usr/bin/env node
import { constants } from 'node:os'
import { parseArgs } from 'node:util'
import packageJson from '../package.json' with { type: 'json' }
import { auditCommands } from './commands/audit.ts'
import { auditArchiveCommands } from './commands/audit-archive.ts'
import { backupCommands } from './commands/backup.ts'
import { type Command, commandOptions, type OptionName } from './commands/command.ts'
import { keyCommands } from './commands/keys.ts'
import { migrateCommand } from './commands/migrate.ts'
import { openapiCommand } from './commands/openapi.ts'
import { startCommand } from './commands/start.ts'
import { userCommands } from './commands/users.ts'
import { readConfig, variables } from './config.ts'
import { fail, print, requireNode } from './terminal.ts'

requireNode(24)

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Such as `head`, which reads no further.
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0)
  fail(`standard output cannot be written (${error.code})`)
})

const commands: Record<string, Command> = {
  start: startCommand,
  migrate: migrateCommand,
  ...userCommands,
  ...auditCommands,
  ...auditArchiveCommands,
  ...keyCommands,
  ...backupCommands,
  openapi: openapiCommand
}
const names = Object.keys(commands)

const startsWith = (words: readonly string[], prefix: readonly string[]) =>
  prefix.every((word, index) => words[index] === word)

function usageOf(name: string): string {
  const { argument, options = [] } = commands[name]!
  const usages = options.map((option) => `[${commandOptions[option].usage}]`)
  return [name, argument, ...usages].filter(Boolean).join(' ')
}

function table(rows: [string, string][]): string {
  const width = Math.max(...rows.map(([first]) => first.length))
  return rows.map(([first, second]) => `  ${first.padEnd(width)}  ${second}`).join('\n')
}

function nameOf(name: string): string {
  const { argument } = commands[name]!
  return argument === undefined ? name : `${name} ${argument}`
}

const listOf = (some: string[]) => table(some.map((name) => [nameOf(name), commands[name]!.description]))

function commandHelp(name: string): string {
  const { description, options = [] } = commands[name]!
  const rows = options.map((option): [string, string] => {
    const { usage, help } = commandOptions[option]
    return [usage, help]
  })
  const parts = [`Usage: latchkey ${usageOf(name)}`, `  ${description}`, table(rows)]
  return parts.filter(Boolean).join('\n\n')
}

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
      ...commandOptions,
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean', short: 'v' }
    }
  })
  const { help: isHelp = positionals[0] === 'help', version, ...options } = values
  const words = positionals[0] === 'help' ? positionals.slice(1) : positionals
  if (version) return print(packageJson.version)
  const name = names.find((one) => startsWith(words, one.split(' ')))
  if (isHelp) {
    if (words.length === 0) return print(help())
    if (name) return print(commandHelp(name))
    const group = names.filter((one) => startsWith(one.split(' '), words))
    if (group.length > 0) return print(`Usage: latchkey <command> [options]\n\n${listOf(group)}`)
  }
  if (!name) {
    const problem = words.length > 0 ? `unknown command "${words.join(' ')}"` : 'a command is needed'
    const group = names.filter((one) => one.startsWith(`${words[0]} `))
    throw new Error(`${problem}; the commands are:\n${listOf(group.length > 0 ? group : names)}`)
  }
  const command = commands[name]!
  const rest = words.slice(name.split(' ').length)
  const unfit = Object.keys(options).some((option) => !command.options?.includes(option as OptionName))
  if (rest.length !== (command.argument ? 1 : 0) || unfit) {
    throw new Error(`usage: latchkey ${usageOf(name)}`)
  }
  const given = { argument: rest[0] ?? '', options }
  const config = readConfig()
  // The service handles signals and unknown variables itself.
  if (command === startCommand) return command.run(config, given)
  // An exit stops the Postgres of this process, and a signal alone would not.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(128 + constants.signals[signal]))
  for (const variable of config.unknownVariables)
    process.stderr.write(`latchkey: ${variable} is not a variable of Latchkey; see "latchkey --help"\n`)
  await command.run(config, given)
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  fail((error as Error).message)
}
