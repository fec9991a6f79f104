import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Ajv } from 'ajv'
import { parseAllDocuments } from 'yaml'

const execute = promisify(execFile)
export const directory = join(import.meta.dirname, '../../deploy/kubernetes')

/** A Kubernetes object; the tests know its shape. */
export interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string> }
  // biome-ignore lint/suspicious/noExplicitAny: the schemas have checked it
  [property: string]: any
}

/** Parses the documents of a file as Kubernetes does: in YAML 1.1, in which 0440 is octal. */
export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text, { version: '1.1', merge: true }).map((document) => {
    if (document.errors[0]) throw document.errors[0]
    return document.toJS() as Manifest
  })
}

export interface Folder {
  /** The objects by file, without the kustomization. */
  files: Record<string, Manifest[]>
  kustomization: { resources: string[]; components?: string[]; [field: string]: unknown }
}

/** Reads a folder of deploy/kubernetes. */
export async function readFolder(name: string): Promise<Folder> {
  const files: Folder['files'] = {}
  const names = (await readdir(join(directory, name))).filter((file) => file.endsWith('.yaml'))
  for (const file of names) files[file] = parseManifests(await readFile(join(directory, name, file), 'utf8'))
  const [kustomization] = files['kustomization.yaml'] ?? []
  delete files['kustomization.yaml']
  return { files, kustomization: kustomization as unknown as Folder['kustomization'] }
}

/** Builds a folder with kubectl. Returns undefined if kubectl is not installed. */
export async function build(name: string): Promise<Manifest[] | undefined> {
  const args = ['kustomize', join(directory, name)]
  const built = await execute('kubectl', args).catch((error) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return built && parseManifests(built.stdout)
}

interface Line {
  name: string
  apiVersion?: string
  kind?: string
  schema: object
}

/**
 * Returns a check of objects against the OpenAPI document of Kubernetes 1.36 and the definitions of the
 * Prometheus operator 0.93, with closed objects: an unknown field is a fault. The fixture has the kinds that
 * deploy/kubernetes uses.
 */
export async function manifestFaults(): Promise<(manifest: Manifest) => string[]> {
  const text = await readFile(join(import.meta.dirname, '../fixtures/kubernetes-schemas.jsonl'), 'utf8')
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
  const ajv = new Ajv({ allErrors: true, strict: false, validateFormats: false })
  ajv.addSchema({
    $id: 'all',
    definitions: Object.fromEntries(lines.map(({ name, schema }) => [name, inAll(schema)]))
  })
  return (manifest) => {
    const line = lines.find(
      ({ apiVersion, kind }) => apiVersion === manifest.apiVersion && kind === manifest.kind
    )
    if (!line) return [`${manifest.apiVersion} ${manifest.kind} is no kind of the fixture`]
    const validate = ajv.compile({ $ref: `all#/definitions/${line.name}` })
    validate(manifest)
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`
    )
  }
}

/** Changes references within a schema into references to the schema `all`. */
function inAll(schema: object): object {
  return JSON.parse(JSON.stringify(schema).replaceAll('"$ref":"#/', '"$ref":"all#/'))
}
