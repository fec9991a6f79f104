#!/usr/bin/env node
import { constants } from 'node:os'
import { parseArgs } from 'node:util'
import packageJson from '../package.json' with { type: 'json' }
import { commandOptions, type OptionName } from './commands/command.ts'
import { commands, generalOptions, usageOf } from './commands/table.ts'
import { readConfig } from './config.ts'
import { PAGE, variables } from './config-variables.ts'
import { fail, print, requireNode } from './terminal.ts'

requireNode(24)

// Help, as long as no command runs.
let onlyPrints = true
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') {
    if (onlyPrints) process.exit()
    return
  }
  fail(`cannot write to standard output (${error.code})`)
})

const names = Object.keys(commands)

const startsWith = (words: readonly string[], prefix: readonly string[]) =>
  prefix.every((word, index) => words[index] === word)

function table(rows: readonly [string, string][]): string {
  const width = Math.max(...rows.map(([first]) => first.length))
  return rows.map(([first, second]) => `  ${first.padEnd(width)}  ${second}`).join('\n')
}

function nameOf(name: string): string {
  const { argument } = commands[name]!
  return argument === undefined ? name : `${name} ${argument}`
}

const listOf = (some: string[]) => table(some.map((name) => [nameOf(name), commands[name]!.description]))

function commandHelp(name: string): string {
  const { description, options = [], example } = commands[name]!
  const rows = options.map((option): [string, string] => {
    const { usage, help } = commandOptions[option]
    return [usage, help]
  })
  return [
    `Usage: latchkey ${usageOf(name)}`,
    `  ${description}`,
    ...(rows.length > 0 ? [`Options:\n${table(rows)}`] : []),
    `Example:\n  ${example}`
  ].join('\n\n')
}

function help(): string {
  const settings = variables.map(({ name, summary, fallback }): [string, string] => [
    name,
    fallback === undefined || String(fallback) === '' ? summary : `${summary} (default ${fallback})`
  ])
  return [
    'Usage: latchkey <command> [options]',
    `Commands:\n${listOf(names)}`,
    `Options:\n${table(generalOptions)}`,
    `Environment variables, the same as for the service (${PAGE}):\n${table(settings)}`
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
    const problem = words.length > 0 ? `unknown command "${words.join(' ')}"` : 'a command is required'
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
  onlyPrints = command.onlyPrints ?? false
  const config = readConfig()
  // The service handles signals and unknown variables itself.
  if (name === 'start') return command.run(config, given)
  // Exit on a signal: the exit handlers stop the Postgres that this process started.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(128 + constants.signals[signal]))
  for (const variable of config.unknownVariables)
    process.stderr.write(`latchkey: ${variable} is not a Latchkey variable and is ignored; see ${PAGE}\n`)
  await command.run(config, given)
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException
  // The message of parseArgs goes on with advice about words that start with a hyphen.
  const option = code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' && /^Unknown option ('.*?')/s.exec(message)?.[1]
  fail(
    option ? `unknown option ${option}; "latchkey <command> --help" lists the options of a command` : message
  )
}
