import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * A body for the `configuration-schema.json` of each package of OpenFn/adaptors at 50b4220, with the required
 * and nullable properties.
 */
export interface AdaptorSchema {
  name: string
  required: string[]
  nullable?: string[]
  body: Record<string, unknown>
}

const file = join(import.meta.dirname, '../fixtures/adaptor-schemas.jsonl')

export const adaptorSchemas = (await readFile(file, 'utf8'))
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as AdaptorSchema)
