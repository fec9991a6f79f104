export interface Schema {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  const?: unknown
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: boolean | Schema
  items?: Schema
  [keyword: string]: unknown
}
interface Resolve {
  before(schema: Schema): Schema
  now(schema: Schema): Schema
}

const UPPER = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties']
const LOWER = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties']
/** Keywords whose bound is 0 if it is missing. */
const FROM_ZERO = new Set(['minLength', 'minItems', 'minProperties'])
/** Keywords that must be equal, because no rule says which of two values accepts more. */
const OPAQUE = ['not', 'patternProperties', 'multipleOf', 'propertyNames', 'prefixItems', 'discriminator']
/** Lists of schemas, which are compared one by one. */
const CHOICES = ['anyOf', 'oneOf', 'allOf']

/**
 * Lists the breaking changes between two versions of a schema. An input breaks callers if it accepts less
 * than before, an output if it may have other values.
 */
export function breakingSchema(
  direction: 'input' | 'output',
  before: Schema,
  now: Schema,
  where: string,
  resolve: Resolve,
  seen: ReadonlySet<string> = new Set()
): string[] {
  // A recursive schema was compared at its first occurrence.
  const pair = `${before.$ref} ${now.$ref}`
  if (before.$ref && seen.has(pair)) return []
  const within = before.$ref ? new Set([...seen, pair]) : seen
  const old = resolve.before(before)
  const schema = resolve.now(now)
  const rules = direction === 'input' ? [narrowed, demanded] : [widened, withheld]
  const breaks = [
    ...renamed(before, now, schema),
    // `before` is not resolved, because `breakingNames` reports the lost values of named schemas.
    ...lostValues(before, schema).map((value) => `does not list ${value} any more`),
    ...[changed, ...rules].flatMap((rule) => rule(old, schema))
  ].map((what) => `${where} ${what}`)
  const compare = (one: Schema, other: Schema, part: string) =>
    breakingSchema(direction, one, other, `${where}${part}`, resolve, within)
  for (const [name, property] of Object.entries(old.properties ?? {})) {
    const there = schema.properties?.[name]
    if (there) breaks.push(...compare(property, there, `.${name}`))
    else if (direction === 'output' || schema.additionalProperties === false)
      breaks.push(`${where}.${name} is gone`)
  }
  if (old.items && schema.items) breaks.push(...compare(old.items, schema.items, '[]'))
  for (const keyword of CHOICES) {
    const there = choicesOf(schema, keyword)
    for (const [index, choice] of choicesOf(old, keyword).entries())
      if (there[index]) breaks.push(...compare(choice, there[index], `<${index}>`))
  }
  if (isSchema(old.additionalProperties) && isSchema(schema.additionalProperties))
    breaks.push(...compare(old.additionalProperties, schema.additionalProperties, '.*'))
  return breaks
}

/** Named schemas are types of generated clients: code that uses a type does not compile without it. */
function renamed(before: Schema, now: Schema, schema: Schema): string[] {
  const [name, nameNow] = [nameOf(before), nameOf(now)]
  if (name === nameNow) return []
  if (!nameNow) return [`has no name any more, and was ${withArticle(name!)}`]
  if (name) return [`is ${withArticle(nameNow)} now, and was ${withArticle(name)}`]
  return schema.properties || schema.enum ? [`is ${withArticle(nameNow)} now, and had no name`] : []
}

const nameOf = ({ $ref }: Schema) => $ref?.split('/').at(-1)
const withArticle = (name: string) => `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}`

function changed(before: Schema, now: Schema): string[] {
  if ('items' in before !== 'items' in now) return ['has another kind of entries']
  const isOther = (keyword: string) =>
    CHOICES.includes(keyword)
      ? choicesOf(before, keyword).length !== choicesOf(now, keyword).length
      : !isSame(before[keyword], now[keyword])
  const others = [...CHOICES, ...OPAQUE].filter(isOther)
  return others.map((keyword) => `has another ${keyword}, which cannot be judged`)
}

const choicesOf = (schema: Schema, keyword: string) => (schema[keyword] ?? []) as Schema[]

/** Values of an extensible enum are constants in generated clients, even if other values are accepted. */
export function lostValues(before: Schema, now: Schema): string[] {
  const values = (schema: Schema) => (schema['x-extensible-enum'] ?? []) as string[]
  const there = [...values(now), ...(now.enum ?? [])]
  return values(before).filter((value) => !there.includes(value))
}

/** Returns how the schema of a request accepts less than before. */
function narrowed(before: Schema, now: Schema): string[] {
  const breaks: string[] = []
  const missing = lacking(typesOf(before), typesOf(now))
  if (missing) breaks.push(`is not of type ${missing} any more`)
  const values = lacking(valuesOf(before), valuesOf(now))
  if (values) breaks.push(`does not take ${values} any more`)
  for (const keyword of ['pattern', 'format'])
    if (now[keyword] !== undefined && now[keyword] !== before[keyword]) breaks.push(`has another ${keyword}`)
  for (const keyword of UPPER)
    if (bound(now, keyword, Infinity) < bound(before, keyword, Infinity))
      breaks.push(`has a smaller ${keyword}`)
  for (const keyword of LOWER)
    if (bound(now, keyword, -Infinity) > bound(before, keyword, -Infinity))
      breaks.push(`has a larger ${keyword}`)
  if (now['uniqueItems'] && !before['uniqueItems']) breaks.push('takes no entry twice any more')
  if (openness(now) < openness(before)) breaks.push('does not take properties that it does not name any more')
  if (!isSame(before['default'], now['default'])) breaks.push('has another default')
  return breaks
}

/** Returns the properties that a request must contain now, and could omit before. */
function demanded(before: Schema, now: Schema): string[] {
  return (now.required ?? [])
    .filter((name) => !before.required?.includes(name))
    .map((name) => `has to have ${name} now`)
}

/** Returns how the schema of a response allows more than before. */
function widened(before: Schema, now: Schema): string[] {
  const breaks: string[] = []
  const added = lacking(typesOf(now), typesOf(before))
  if (added) breaks.push(`may be of type ${added} now`)
  const values = lacking(valuesOf(now), valuesOf(before))
  if (values) breaks.push(`may be ${values} now`)
  if (before['format'] !== undefined && now['format'] !== before['format']) breaks.push('has another format')
  // Clients generated from the closed schema fail at the first property that a later version adds.
  if (openness(now) < openness(before)) breaks.push('may get no further properties any more')
  return breaks
}

/** The properties that an output no longer guarantees. */
function withheld(before: Schema, now: Schema): string[] {
  return (before.required ?? [])
    .filter((name) => now.properties?.[name] && !now.required?.includes(name))
    .map((name) => `does not always have ${name} any more`)
}

/** Returns undefined if every type is allowed. `number` includes `integer`. */
function typesOf({ type }: Schema): unknown[] | undefined {
  if (type === undefined) return undefined
  const types = [type].flat()
  return types.includes('number') ? [...types, 'integer'] : types
}

function valuesOf(schema: Schema): unknown[] | undefined {
  return 'const' in schema ? [schema.const] : schema.enum
}

/** Names the values that only the first list has, if any. An undefined list has all values. */
function lacking(of: unknown[] | undefined, inList: unknown[] | undefined): string | undefined {
  if (!inList) return undefined
  const missing = of ? of.filter((value) => !inList.some((one) => isSame(one, value))) : ['any other']
  return missing.length > 0 ? missing.map(String).join(', ') : undefined
}

function bound(schema: Schema, keyword: string, without: number): number {
  return (schema[keyword] as number | undefined) ?? (FROM_ZERO.has(keyword) ? 0 : without)
}

function openness({ additionalProperties = true }: Schema): number {
  if (additionalProperties === false) return 0
  return isSchema(additionalProperties) ? 1 : 2
}

const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null
const isSame = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other)
