// `npm run built-in-types` writes docs/reference/built-in-types.md from the catalogue.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FieldConstraints } from '../src/db/tables.ts'
import { type BuiltInField, catalogue } from '../src/features/credential-types/catalogue.ts'

const PATH = join(import.meta.dirname, '..', 'docs', 'reference', 'built-in-types.md')

const INTRODUCTION = `# Built-in types

This page is generated from the catalogue by \`npm run built-in-types\`. Every installation has these types.
The ids of types and fields never change. [Credential types](../how-to/credential-types.md) explains field
types and secrets. If all fields of a type are optional, fill in those that your service needs. A \`json\`
field accepts any JSON value unless the table says otherwise.
`

/** Returns the page as Markdown. */
export function builtInTypesPage(): string {
  const list = catalogue.map(({ typeName, description }) => `- [${typeName}](#${typeName}): ${description}`)
  return [INTRODUCTION, ...list, '', ...catalogue.map(sectionOf)].join('\n')
}

function sectionOf({ typeName, id, description, fields }: (typeof catalogue)[number]): string {
  return `## ${typeName}

${description}. \`${id}\`

| field | required | type | secret | description | id |
|---|---|---|---|---|---|
${fields.map(rowOf).join('\n')}
`
}

function rowOf(field: BuiltInField): string {
  const cells = [
    `\`${field.fieldName}\``,
    field.required ? 'yes' : '',
    field.fieldType,
    field.secret ? 'yes' : '',
    notesOf(field).join('. '),
    `\`${field.id}\``
  ]
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function notesOf({
  fieldLabel,
  description,
  options,
  defaultValue,
  pattern,
  constraints
}: BuiltInField): string[] {
  const code = (value: unknown) => `\`${value}\``
  return [
    fieldLabel,
    ...(description === null ? [] : [description.replace(/[<>]/g, '\\$&')]),
    ...(options === null ? [] : [`One of ${options.map(code).join(', ')}`]),
    ...(defaultValue === null ? [] : [`Default ${code(defaultValue)}`]),
    ...(constraints === null ? [] : [constraintsOf(constraints)]),
    ...(pattern === null ? [] : [`Matches ${/`/.test(pattern) ? `\`\` ${pattern} \`\`` : code(pattern)}`])
  ]
}

function constraintsOf({ integer, minimum, maximum, schemes, shape }: FieldConstraints): string {
  if (shape) return shape === 'object' ? 'An object' : 'An object, or its JSON text'
  if (schemes) return schemes.map((scheme) => `\`${scheme}://\``).join(' or ')
  return `${integer ? 'An integer' : 'A number'} from ${minimum} to ${maximum}`
}

if (import.meta.main) writeFileSync(PATH, builtInTypesPage())
