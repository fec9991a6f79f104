// Writes src/generated from openapi.yaml: types and one function an operation (hey-api), and contract.gen.ts, what the
// hand-written code has to know of the document besides. The same document gives the same files.
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createClient } from '@hey-api/openapi-ts'
import { parse } from 'yaml'

interface Schema {
  $ref?: string
  type?: string
  required?: string[]
}
type Contents = Record<string, { schema?: Schema; examples?: Record<string, unknown> }>
interface Operation {
  operationId: string
  parameters?: { $ref?: string }[]
  responses: Record<string, { content?: Contents }>
}
interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { responses: Record<string, { content: Contents }>; schemas: Record<string, Schema> }
}

const here = join(import.meta.dirname, '..')
const input = join(here, '../../openapi.yaml')
const output = join(here, 'src/generated')
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

// The document has an example under the code of every problem.
const codes = Object.values(components.responses).flatMap(({ content }) =>
  Object.keys(content['application/problem+json']?.examples ?? {})
)
// What an operation answers when it succeeds; all of ours have one such answer.
const answerOf = ({ responses }: Operation) => {
  const [, success] = Object.entries(responses).find(([status]) => status.startsWith('2')) ?? []
  const given = success?.content?.['application/json']?.schema
  const schema = given?.$ref ? components.schemas[given.$ref.split('/').at(-1)!] : given
  return { answer: schema?.type ?? 'nothing', members: schema?.required ?? [] }
}
const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.values(methods).map((operation) => [
    operation.operationId,
    {
      parts: [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]),
      takesKey: operation.parameters?.some(({ $ref }) => $ref?.endsWith('/IdempotencyKey')) ?? false,
      ...answerOf(operation)
    }
  ])
)
if (codes.length === 0 || !JSON.stringify(operations).includes('"takesKey":true'))
  throw new Error('the document is not of the form that is expected here')
const quoted = (words: string[]) => [...new Set(words)].sort().map((word) => `'${word}'`)
await writeFile(
  join(output, 'contract.gen.ts'),
  `/** The codes of problems that the document names; a later service may have more. */
export type ProblemCode = ${quoted(codes).join(' | ')};

export interface Contract {
  /** The names of the parts of the path. */
  readonly parts: readonly string[];
  /** Whether it takes an \`Idempotency-Key\`. */
  readonly takesKey: boolean;
  /** What a success answers. */
  readonly answer: 'object' | 'array' | 'nothing';
  /** What an object that is answered has for certain. */
  readonly members: readonly string[];
}

/** What the document says of each operation, by operationId. */
export const OPERATIONS: Readonly<Record<string, Contract>> = ${JSON.stringify(Object.fromEntries(operations), null, 2)};
`
)
