// `npm run cli` writes docs/reference/cli.md from the table of commands.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commandOptions } from '../src/commands/command.ts'
import { commands, generalOptions, usageOf } from '../src/commands/table.ts'

const PATH = join(import.meta.dirname, '..', 'docs', 'reference', 'cli.md')

const INTRODUCTION = `# Command line

Generated from the code by \`npm run cli\`.

\`latchkey\` runs the operator's commands. How you start it depends on the installation:

| installation | command |
|---|---|
| a clone of the repository | \`npx latchkey\` in its folder |
| Docker Compose | \`docker compose exec latchkey node src/cli.ts\` |
| Kubernetes | \`kubectl exec deployment/latchkey --namespace latchkey -- node src/cli.ts\` |

- Give a command the same [environment variables](../operations/configuration.md) as the service. Without
  \`DATABASE_URL\`, it uses the embedded database in \`LATCHKEY_DATA_DIR\`, even while the service
  uses it.
- A command connects to the database directly, and does not ask for a password. Anyone who can run it with the
  variables of the service is an operator.
- The audit log records changes of users and keys, restores, and runs of \`audit archive\`. The actor is
  \`system\`.
- Results go to standard output. An error is a line on standard error that starts with \`latchkey:\`.
- \`latchkey --help\` lists the commands and variables. \`latchkey users create --help\` describes one
  command.
- In the usage below, words in \`<>\` stand for your values, and options in \`[]\` are optional.
`

const EXIT_CODES = `## Exit codes

| code | meaning |
|---|---|
| 0 | The command succeeded. |
| 1 | It failed; standard error says why. \`audit verify\` also exits with 1 if the audit log is not intact. |
| 129, 130, 143 | It was stopped by SIGHUP, SIGINT (Ctrl-C) or SIGTERM. |
`

/** Returns the page as Markdown. */
export function cliPage(): string {
  const list = Object.entries(commands).map(
    ([name, { description }]) => `| [\`latchkey ${name}\`](#${anchorOf(name)}) | ${escaped(description)} |`
  )
  return [
    INTRODUCTION,
    `| command | what it does |\n|---|---|\n${list.join('\n')}\n`,
    `## General options\n\n${optionTable(generalOptions)}\n`,
    EXIT_CODES,
    ...Object.keys(commands).map(sectionOf)
  ].join('\n')
}

/** The anchor of a heading on GitHub. */
const anchorOf = (name: string) => `latchkey ${name}`.replaceAll(' ', '-')

function sectionOf(name: string): string {
  const { description, details, options = [], example } = commands[name]!
  const rows = options.map((option): [string, string] => {
    const { usage, help } = commandOptions[option]
    return [usage, help]
  })
  const parts = [
    `## latchkey ${name}`,
    `\`latchkey ${usageOf(name)}\``,
    `${description[0]!.toUpperCase()}${escaped(description.slice(1))}.`,
    details,
    ...(rows.length > 0 ? [optionTable(rows)] : []),
    `Example: \`${example}\``
  ]
  return `${parts.join('\n\n')}\n`
}

const optionTable = (rows: readonly (readonly [string, string])[]) =>
  [
    '| option | what it does |',
    '|---|---|',
    ...rows.map(([usage, help]) => `| \`${usage}\` | ${escaped(help)} |`)
  ].join('\n')

const escaped = (text: string) => text.replace(/[<>|]/g, '\\$&')

if (import.meta.main) writeFileSync(PATH, cliPage())
