import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { openapiYaml } from '../src/http/openapi.ts'
import { problems } from '../src/http/problems.ts'
import { startTestApp } from './helpers/app.ts'
import { type Parameter, pointerPart, type Response } from './helpers/contract.ts'

const root = join(import.meta.dirname, '..')

type Content = Record<string, { schema: Schema; examples?: Record<string, { value: unknown }> }>
interface Operation {
  operationId: string
  summary: string
  description: string
  tags: string[]
  security: object[]
  parameters?: Parameter[]
  requestBody?: { content: Content }
  responses: Record<string, Omit<Response, 'content'> & { content?: Content }>
}
interface Schema {
  $ref?: string
  type?: string | string[]
  items?: Schema
  anyOf?: unknown
  examples?: unknown[]
}

/** Schemas that accept additional properties, as clients of Lightning may send them. */
const OPEN = new Set(['LightningCredentialCreate', 'LightningEnvironmentBody', 'LightningProjectLink'])

/** Codes of requests that match no operation, and one that only the Lightning API has, in its own form. */
const NOT_OF_OPERATIONS = ['external-id-taken', 'no-such-route', 'method-not-allowed', 'url-too-long']

interface Example {
  pointer: string
  /** The pointer to the schema that the value must match. */
  schema: string
  value: unknown
}

/** Returns the examples of a response or a parameter, without those that are components. */
const valuesOf = (examples: Record<string, { value?: unknown }>) =>
  Object.values(examples).flatMap((example) => ('value' in example ? [example.value] : []))

/** Returns every example of schemas, parameters, headers and bodies. */
function examplesIn(node: unknown, pointer = '#'): Example[] {
  if (typeof node !== 'object' || node === null) return []
  const { examples, example, schema } = node as {
    examples?: Record<string, object>
    example?: unknown
    schema?: object
  }
  const shape = schema ? `${pointer}/schema` : pointer
  const values = Array.isArray(examples) ? examples : valuesOf(examples ?? {})
  if (example !== undefined) values.push(example)
  const within = Object.entries(node)
    .filter(([key]) => !['example', 'examples', 'default', 'enum'].includes(key))
    .flatMap(([key, child]) => examplesIn(child, `${pointer}/${pointerPart(key)}`))
  return [...values.map((value) => ({ pointer, schema: shape, value })), ...within]
}

t.test('the contract', async (t) => {
  const service = await startTestApp(t)
  const { document } = service.contract
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      method,
      operation: operation as unknown as Operation
    }))
  )
  const componentOf = (schema: Schema) => document.components.schemas[schema.$ref?.split('/').at(-1) ?? '']

  t.test('is the file openapi.yaml', async (t) => {
    const file = await readFile(join(root, 'openapi.yaml'), 'utf8')
    t.ok(openapiYaml(service.app) === file, 'run `npm run openapi` and read the diff')
    t.notMatch(file, /^\s*(- )?[&*]a\d+/m, 'no YAML aliases')
  })

  t.test('limits the length of every array in a response', (t) => {
    let arrays = 0
    const check = (name: string, schema: Schema, trail: readonly string[]): void => {
      const reference = schema.$ref
      if (reference !== undefined) {
        if (!trail.includes(reference)) check(name, componentOf(schema) as Schema, [...trail, reference])
        return
      }
      const { type, maxItems, items, properties, anyOf } = schema as {
        type?: unknown
        maxItems?: number
        items?: Schema
        properties?: Record<string, Schema>
        anyOf?: Schema[]
      }
      if ([type].flat().includes('array')) {
        arrays++
        t.ok(maxItems !== undefined && maxItems <= 10_000, name)
      }
      if (items) check(`${name}[]`, items, trail)
      for (const [key, one] of Object.entries(properties ?? {})) check(`${name}.${key}`, one, trail)
      for (const one of anyOf ?? []) check(name, one, trail)
    }
    for (const { name, operation } of operations) {
      const { responses } = operation as unknown as {
        responses: Record<string, { content?: Record<string, { schema?: Schema }> }>
      }
      for (const [status, { content }] of Object.entries(responses)) {
        const schema = content?.['application/json']?.schema
        if (status.startsWith('2') && schema) check(name, schema, [])
      }
    }
    t.ok(arrays > 30, `${arrays} arrays`)
    t.end()
  })

  t.test('is served in both forms, and as Swagger UI', async (t) => {
    const caller = service.anonymous()
    t.same((await caller.get('/openapi.json')).json, JSON.parse(JSON.stringify(document)))
    t.same(parse((await caller.get('/openapi.yaml')).text), JSON.parse(JSON.stringify(document)))
    const page = await caller.get('/docs/')
    t.equal(page.status, 200)
    t.match(page.text, 'swagger-ui')
    t.match(page.headers.get('content-security-policy'), /default-src 'none'/)
    t.notMatch(page.headers.get('content-security-policy')!, /unsafe-eval/)
  })

  t.test('documents every operation completely', async (t) => {
    t.ok(operations.length > 25, `${operations.length} operations`)
    t.equal(document.openapi, '3.1.0')
    const ids = operations.map(({ operation }) => operation.operationId)
    t.equal(new Set(ids).size, ids.length, 'ids are unique')
    for (const { name, method, operation } of operations) {
      t.ok(operation.summary, `${name} has a summary`)
      t.ok(operation.tags.length === 1, `${name} has a tag`)
      t.ok(Array.isArray(operation.security), `${name} declares its security`)
      const statuses = Object.keys(operation.responses)
      for (const status of ['400', '500', '503'])
        t.ok(statuses.includes(status), `${name} documents ${status}`)
      if (operation.security.length > 0) t.ok(statuses.includes('401'), `${name} documents 401`)
      if (method !== 'get')
        for (const status of ['403', '413', '415'])
          t.ok(statuses.includes(status), `${name} documents ${status}`)
      t.ok(operation.description, `${name} has a description`)
      for (const parameter of operation.parameters ?? []) {
        const { name: which, description } = service.contract.resolved(parameter)
        t.ok(description, `${name} describes its parameter ${which}`)
      }
      for (const [status, named] of Object.entries(operation.responses)) {
        const response = service.contract.resolved(named)
        t.ok(
          response.description && response.description !== 'Default Response',
          `${name} describes ${status}`
        )
        if (Number(status) < 400) continue
        const type = operation.tags[0] === 'Lightning' ? 'application/json' : 'application/problem+json'
        t.same(Object.keys(response.content!), [type], `${name} ${status} is a problem`)
      }
    }
  })

  t.test('has a valid example for every body', async (t) => {
    for (const { name, operation } of operations) {
      const bodies = [
        operation.requestBody,
        ...Object.entries(operation.responses)
          .filter(([status]) => status < '300')
          .map(([, response]) => response)
      ]
      for (const body of bodies) {
        const schema = body?.content?.['application/json']?.schema
        if (!schema) continue
        const shape = schema.type === 'array' ? schema.items! : schema
        t.ok(componentOf(shape), `${name}: its bodies are named components`)
        t.ok(componentOf(shape)?.examples?.length, `${name}: ${shape.$ref} has an example`)
      }
    }
    for (const [name, component] of Object.entries(document.components.schemas))
      t.ok(component.examples?.length || 'enum' in component, `${name} has an example`)
    const examples = examplesIn(document)
    t.ok(examples.length > 300, `${examples.length} examples`)
    for (const { pointer, schema, value } of examples) {
      const validate = service.contract.schema(schema)
      t.ok(validate(value), `${pointer}: ${JSON.stringify(validate.errors)}`)
    }
  })

  t.test('shares its components', async (t) => {
    const { responses, parameters, headers, schemas, examples } = document.components
    const text = JSON.stringify(document)
    t.ok(text.length < 200_000, `${text.length} characters`)
    for (const [section, parts] of Object.entries({ responses, parameters, headers, schemas, examples }))
      for (const name of Object.keys(parts))
        t.ok(text.includes(`"#/components/${section}/${name}"`), `${section}/${name} is used`)
    const enumerations = Object.values(schemas).flatMap((schema) => ('enum' in schema ? [schema.enum] : []))
    t.ok(enumerations.length > 4, 'enumerations have names')
    for (const values of enumerations)
      t.equal(text.split(`"enum":${JSON.stringify(values)}`).length, 2, `${values} is declared once`)
  })

  t.test('lists every code with its meaning, and allows later codes', (t) => {
    const { ProblemCode, InputErrorCode } = document.components.schemas
    for (const component of [ProblemCode!, InputErrorCode!]) {
      const { description, ...rest } = component as { description?: string }
      const codes = component['x-extensible-enum']!
      t.match(rest, { type: 'string' })
      t.notOk('enum' in rest, 'a client accepts any string')
      for (const code of codes) t.match(description, `\n- \`${code}\`: `)
    }
    t.same(ProblemCode!['x-extensible-enum'], [...problems.keys()])
    t.end()
  })

  t.test('declares the codes of every operation, with an example of each', (t) => {
    const declared = new Set<string>()
    for (const { name, operation } of operations) {
      for (const [status, named] of Object.entries(operation.responses)) {
        const response = service.contract.resolved(named)
        const content = response.content?.['application/problem+json']
        if (!content) continue
        const codes = response['x-problem-codes'] ?? []
        t.ok(codes.length > 0, `${name} ${status} has codes`)
        t.same(Object.keys(content.examples!), codes, `${name} ${status} has examples`)
        for (const [code, example] of Object.entries(content.examples!)) {
          const { value } = service.contract.resolved(example)
          t.match(value, { code, status: Number(status), type: `/docs/problems/${code}` }, `${name} ${code}`)
          t.match(response.description, `\`${code}\``)
          declared.add(code)
        }
      }
    }
    const outside = [...problems.keys()].filter((code) => !declared.has(code))
    t.same(outside, NOT_OF_OPERATIONS)
    t.end()
  })

  t.test('has no schemas that lead to bad generated SDKs', async (t) => {
    const text = JSON.stringify(document)
    t.notMatch(text, '"anyOf"', 'no anyOf')
    t.notMatch(text, 'def-0', 'no component without a name')
  })

  t.test('refuses unknown properties in requests, and allows new ones in responses', async (t) => {
    const sent = new Set(operations.flatMap(({ operation }) => componentsIn(operation.requestBody)))
    for (const [name, component] of Object.entries(document.components.schemas)) {
      const schema = component as Schema & { additionalProperties?: unknown }
      if (![schema.type].flat().includes('object')) continue
      const isClosed = sent.has(name) && !OPEN.has(name)
      t.equal(schema.additionalProperties === false, isClosed, name)
    }
  })

  /** Returns the names of the components that the node references, directly or indirectly. */
  function componentsIn(node: unknown, found = new Set<string>()): string[] {
    for (const [, name] of JSON.stringify(node ?? null).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (found.has(name!)) continue
      found.add(name!)
      componentsIn(document.components.schemas[name!], found)
    }
    return [...found]
  }
})
