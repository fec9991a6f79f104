// Writes src/generated from openapi.yaml: types and one function an operation (hey-api), and contract.gen.ts, what the
// hand-written code has to know of the document besides. The same document gives the same files.
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createClient } from '@hey-api/openapi-ts'
import { parse } from 'yaml'

interface Document {
  paths: Record<string, Record<string, { parameters?: { $ref?: string }[] }>>
  components: {
    responses: Record<string, { content: Record<string, { examples?: Record<string, unknown> }> }>
  }
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
const creates = Object.entries(paths)
  .filter(([, { post }]) => post?.parameters?.some(({ $ref }) => $ref?.endsWith('/IdempotencyKey')))
  .map(([path]) => path)
if (codes.length === 0 || creates.length === 0)
  throw new Error('the document is not of the form that is expected here')
const quoted = (words: string[]) => [...new Set(words)].sort().map((word) => `'${word}'`)
await writeFile(
  join(output, 'contract.gen.ts'),
  `/** The codes of problems that the document names; a later service may have more. */
export type ProblemCode = ${quoted(codes).join(' | ')};

/** The paths whose POST takes an \`Idempotency-Key\`. */
export const CREATES: ReadonlySet<string> = new Set([${quoted(creates).join(', ')}]);
`
)
