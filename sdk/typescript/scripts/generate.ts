// Writes src/generated from openapi.yaml: hey-api generates types and one function per operation, and
// contract.gen.ts contains what else the handwritten code needs. The same document always generates the same
// files.
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createClient } from '@hey-api/openapi-ts'
import { parse } from 'yaml'

interface Schema {
  $ref?: string
  type?: string
  required?: string[]
  'x-extensible-enum'?: string[]
}
type Contents = Record<string, { schema?: Schema }>
interface Operation {
  operationId: string
  parameters?: { $ref?: string }[]
  responses: Record<string, { content?: Contents }>
}
interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

const here = join(import.meta.dirname, '..')
const input = join(here, '../../openapi.yaml')
const output = join(here, 'src/generated')
const { version } = JSON.parse(await readFile(join(here, 'package.json'), 'utf8')) as { version: string }
const { paths, components } = parse(await readFile(input, 'utf8')) as Document

await rm(join(here, 'dist'), { recursive: true, force: true })
await createClient({
  input,
  output: { path: output, importFileExtension: '.ts', entryFile: false },
  logs: { level: 'silent', file: false },
  plugins: [
    { name: '@hey-api/client-fetch', throwOnError: true },
    '@hey-api/typescript',
    { name: '@hey-api/sdk', auth: false, responseStyle: 'data' }
  ]
})

const codes = components.schemas['ProblemCode']?.['x-extensible-enum'] ?? []
// Each operation has exactly one successful response.
const successOf = ({ responses }: Operation) => {
  const [, success] = Object.entries(responses).find(([status]) => status.startsWith('2')) ?? []
  const declared = success?.content?.['application/json']?.schema
  const schema = declared?.$ref ? components.schemas[declared.$ref.split('/').at(-1)!] : declared
  return { responseType: schema?.type ?? 'nothing', required: schema?.required ?? [] }
}
const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.values(methods).map((operation) => [
    operation.operationId,
    {
      pathParams: [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]),
      acceptsIdempotencyKey:
        operation.parameters?.some(({ $ref }) => $ref?.endsWith('/IdempotencyKey')) ?? false,
      ...successOf(operation)
    }
  ])
)
if (codes.length === 0 || !JSON.stringify(operations).includes('"acceptsIdempotencyKey":true'))
  throw new Error('openapi.yaml does not have the expected structure')
const contracts = JSON.stringify(Object.fromEntries(operations), null, 2)
const quoted = (words: string[]) => [...new Set(words)].sort().map((word) => `'${word}'`)
await writeFile(
  join(output, 'contract.gen.ts'),
  `/** The version of this package. */
export const VERSION = '${version}';

/** The problem codes in the document. A later version of the service may have more. */
export type ProblemCode = ${quoted(codes).join(' | ')};

export interface Contract {
  readonly pathParams: readonly string[];
  readonly acceptsIdempotencyKey: boolean;
  /** The JSON type of a successful response. */
  readonly responseType: 'object' | 'array' | 'nothing';
  /** The properties that a response object always has. */
  readonly required: readonly string[];
}

/** The contract of each operation, by operationId. */
export const OPERATIONS: Readonly<Record<string, Contract>> = ${contracts};
`
)
