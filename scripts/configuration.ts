// `npm run configuration` writes docs/operations/configuration.md from the table of variables.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileVariable, groups, type Variable } from '../src/config-variables.ts'

const PATH = join(import.meta.dirname, '..', 'docs', 'operations', 'configuration.md')

const INTRODUCTION = `# Configuration

Generated from the code by \`npm run configuration\`.

You configure Latchkey with environment variables. All of them are optional: without any, \`npm start\` uses
the embedded Postgres and the data directory \`./data\`. An empty variable counts as unset.

- The service and \`latchkey\`, the [command line](../reference/cli.md), read the same variables.
- The service reads them once, when it starts. Restart it to apply a change.
- An invalid value stops the start with one line that names the variable, before anything is created:
  see [troubleshooting](troubleshooting.md).
- An unknown variable whose name starts with \`LATCHKEY_\` is probably misspelled. The service prints its name
  and starts without it.
- [\`.env.example\`](../../.env.example) lists all variables. \`npm run dev\` reads \`.env\`; with Docker
  Compose, see [Docker](docker.md).
`

const NOTES = `## Secrets in files

A variable \`NAME_FILE\` names a file that contains the value of \`NAME\`, such as a secret of Docker or
Kubernetes that is mounted as a file. Set \`NAME\` or \`NAME_FILE\`, not both.

- The service reads the file once, when it starts. Only \`VAULT_TOKEN_FILE\` is read at each use.
- One newline at the end of the file is not part of the value.
- No other user may have access to the file. If it belongs to the user of the service, its mode must be 0600
  or 0400. If it belongs to root, its group may read it too (0440): this is how Kubernetes mounts it in a
  pod with an \`fsGroup\`.
- The file must be text in UTF-8 of at most 64 KiB. It is a regular file or a symbolic link to one.

## AWS KMS

For a root key in AWS KMS, the AWS SDK finds the region, the endpoint and the credentials in its standard
places:

- in variables: \`AWS_REGION\`, \`AWS_ENDPOINT_URL_KMS\`, \`AWS_ACCESS_KEY_ID\`, \`AWS_SECRET_ACCESS_KEY\`,
  \`AWS_SESSION_TOKEN\`
- in files, which \`AWS_SHARED_CREDENTIALS_FILE\` and \`AWS_WEB_IDENTITY_TOKEN_FILE\` name
- in profiles (\`AWS_PROFILE\`), and in the roles of instances and containers

The ARN of a key also sets the region. [Keys](keys.md) has an example.
`

/** Returns the page as Markdown. */
export function configurationPage(): string {
  const sections = groups.map(({ title, variables }) =>
    [`## ${title}\n`, ...variables.map(sectionOf)].join('\n')
  )
  return [INTRODUCTION, overview(), ...sections, NOTES].join('\n')
}

function overview(): string {
  const rows = groups
    .flatMap(({ variables }) => variables)
    .map(
      (one) =>
        `| [\`${one.name}\`](#${one.name.toLowerCase()}) | ${defaultOf(one)} | ${escaped(one.summary)} |`
    )
  return `## All variables

| variable | default | description |
|---|---|---|
${rows.join('\n')}
`
}

function sectionOf(one: Variable<unknown>): string {
  const { name, summary, details, format, isSecret } = one
  const facts = [`- Default: ${defaultOf(one)}`, `- Value: ${escaped(format.expected)}`]
  if (isSecret)
    facts.push(`- In a file: \`${fileVariable(one).name}\` ([secrets in files](#secrets-in-files))`)
  const text = `${summary[0]!.toUpperCase()}${escaped(summary.slice(1))}.`
  const parts = [`### \`${name}\``, text, facts.join('\n'), ...(details === undefined ? [] : [details])]
  return `${parts.join('\n\n')}\n`
}

const escaped = (text: string) => text.replace(/[<>|]/g, '\\$&')

const defaultOf = ({ fallback, defaultText = `\`${fallback}\`` }: Variable<unknown>) => defaultText

if (import.meta.main) writeFileSync(PATH, configurationPage())
