import { type Content, code, type Html, html } from './html.ts'

export interface Schema {
  $ref?: string
  type?: string | string[]
  description?: string
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  oneOf?: Schema[]
  anyOf?: Schema[]
  enum?: unknown[]
  const?: unknown
  format?: string
  pattern?: string
  default?: unknown
  examples?: unknown[]
  additionalProperties?: boolean | Schema
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
  'x-extensible-enum'?: string[]
}

export const nameOf = (reference: string) => reference.split('/').at(-1)!

/** Describes the type of a value, with links to named schemas. */
export function typeOf(schema: Schema): Html {
  const { $ref, items, additionalProperties } = schema
  if ($ref) return html`<a href="#${nameOf($ref)}">${nameOf($ref)}</a>`
  const choices = schema.oneOf ?? schema.anyOf
  if (choices) return joined(choices.map(typeOf), ' or ')
  if (schema.const !== undefined) return html`<code>${JSON.stringify(schema.const)}</code>`
  const types = [schema.type ?? 'any value'].flat().map((type) => {
    if (type === 'array' && items) return html`list of ${typeOf(items)}`
    if (type === 'object' && typeof additionalProperties === 'object')
      return html`object of ${typeOf(additionalProperties)}`
    return html`${schema.format && type !== 'null' ? `${type} (${schema.format})` : type}`
  })
  return joined(types, ' or ')
}

/** Describes the constraints of a value, such as its length. */
export function limitsOf(schema: Schema): Html {
  const values = (schema.enum ?? schema['x-extensible-enum'] ?? []).map(
    (value) => html`<code>${String(value)}</code>`
  )
  const limits: Content[] = [
    range(schema.minLength, schema.maxLength, 'characters'),
    range(schema.minItems, schema.maxItems, 'entries'),
    range(schema.minimum, schema.maximum, '')?.trim(),
    values.length > 0 ? html`one of ${joined(values, ', ')}` : undefined,
    schema.default === undefined ? undefined : html`default <code>${JSON.stringify(schema.default)}</code>`,
    schema.pattern && html`matches <code>${schema.pattern}</code>`
  ]
  return joined(
    limits.filter((limit) => limit !== undefined),
    '; '
  )
}

/** The properties of an object, and of the objects within it that have no name. */
export function propertiesOf(schema: Schema): Html {
  const rows = rowsOf(schema, '')
  return rows.length === 0 ? html`` : html`<table><tbody>${rows}</tbody></table>`
}

function rowsOf({ properties = {}, required = [] }: Schema, prefix: string): Html[] {
  return Object.entries(properties).flatMap(([name, property]) => {
    const within = property.properties ? property : property.items?.properties ? property.items : undefined
    const path = `${prefix}${name}${within && within === property.items ? '[]' : ''}`
    return [row(path, property, required.includes(name)), ...(within ? rowsOf(within, `${path}.`) : [])]
  })
}

/** A line about one property or parameter. */
export function row(
  name: string,
  schema: Schema,
  isRequired: boolean,
  description = schema.description
): Html {
  const limits = limitsOf(schema)
  return html`<tr><th><code>${name}</code>${isRequired ? html` <small>required</small>` : ''}</th>
<td>${typeOf(schema)}${limits.text ? html` <small>${limits}</small>` : ''}${
    description ? html`<br>${code(description)}` : ''
  }</td></tr>
`
}

function range(least: number | undefined, most: number | undefined, unit: string): string | undefined {
  if (least === undefined) return most === undefined ? undefined : `at most ${most} ${unit}`
  return `${most === undefined ? `at least ${least}` : `${least} to ${most}`} ${unit}`
}

function joined(parts: Content[], separator: string): Html {
  return html`${parts.map((part, index) => [index === 0 ? '' : separator, part])}`
}
