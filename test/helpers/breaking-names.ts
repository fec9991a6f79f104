import type { Document } from './breaking.ts'
import { lostValues, type Schema } from './breaking-schema.ts'

/** The properties that determine how a client authenticates. The description does not. */
const SCHEME_PARTS = ['type', 'scheme', 'in', 'name', 'flows', 'openIdConnectUrl'] as const

type Scheme = { [part in (typeof SCHEME_PARTS)[number]]?: unknown }

/**
 * Lists the breaking changes of security schemes, and of schemas, which clients have as types and constants.
 */
export function breakingNames(before: Document, now: Document): string[] {
  const schemes = pairs<Scheme>('securitySchemes', before, now).flatMap(([name, old, scheme]) =>
    SCHEME_PARTS.filter((part) => JSON.stringify(old[part]) !== JSON.stringify(scheme?.[part])).map((part) =>
      scheme ? `the security scheme ${name} has another ${part}` : `the security scheme ${name} is gone`
    )
  )
  const schemas = pairs<Schema>('schemas', before, now).flatMap(([name, old, schema]) =>
    schema
      ? lostValues(old, schema).map((value) => `the schema ${name} does not list ${value} any more`)
      : [`the schema ${name} is gone`]
  )
  return [...new Set([...schemes, ...schemas])]
}

/** Returns each earlier component of the section, with the current one of the same name. */
function pairs<Part>(section: string, before: Document, now: Document): [string, Part, Part | undefined][] {
  const parts = (document: Document) => (document.components[section] ?? {}) as Record<string, Part>
  return Object.entries(parts(before)).map(([name, part]) => [name, part, parts(now)[name]])
}
