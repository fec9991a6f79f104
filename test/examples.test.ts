import { readFile } from 'node:fs/promises'
import t from 'tap'
import { parse } from 'yaml'
import { startTestApp } from './helpers/app.ts'

// Swagger UI fills in the first example of a request. It must succeed unchanged, on a new service with only
// the resources that its administrator has created with the examples of other operations.

interface Schema {
  $ref?: string
  examples?: unknown[]
}
interface Operation {
  operationId: string
  requestBody?: { content: Record<string, { schema: Schema }> }
}
interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

const document: Document = parse(await readFile(new URL('../openapi.yaml', import.meta.url), 'utf8'))

/** The method, path and examples of each operation with a body. */
const operations = new Map(
  Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { operationId, requestBody }]) => {
      const schema = requestBody?.content['application/json']?.schema
      if (!schema) return []
      const { examples = [] } = document.components.schemas[schema.$ref?.split('/').at(-1) ?? ''] ?? schema
      return [[operationId, { method: method.toUpperCase(), path, examples }]]
    })
  )
)

/** Sent in this order. An `id` in a path is the id of the last created credential. */
const STEPS = [
  ...['createProject', 'createCredentialType', 'createUser', 'createAccessToken', 'createAppCredential'],
  ...['updateAppCredential', 'assignProjects', 'putEnvironment', 'revealAppCredential']
]

const firstExampleOf = (operationId: string) => {
  const { method, path, examples } = operations.get(operationId)!
  return { method, path, body: examples[0] }
}

t.test('the examples of requests succeed unchanged', async (t) => {
  const { admin } = await startTestApp(t)
  let id = ''
  for (const operationId of STEPS) {
    const { method, path, examples } = operations.get(operationId)!
    t.ok(examples.length > 0, `${operationId} has an example`)
    for (const example of examples) {
      const url = path.replace('{id}', id).replace('{environment}', 'staging')
      const answer = await admin.request(method, url, example)
      t.ok(answer.status < 300, `${operationId}: ${answer.text}`)
      if (operationId === 'createAppCredential') ({ id } = answer.json)
    }
  }
})

t.test('the first examples lead from a project to a resolved credential', async (t) => {
  const { admin, origin } = await startTestApp(t)
  const run = (operationId: string, id = '') => {
    const { method, path, body } = firstExampleOf(operationId)
    return admin.request(method, path.replace('{id}', id), body)
  }
  const project = (await run('createProject')).json
  t.equal((await run('createAppCredential')).status, 201)
  const { token } = (await run('createAccessToken')).json
  const { path, body } = firstExampleOf('resolveCredentials')
  const response = await fetch(origin + path.replace('{id}', project.id), {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  t.match(await response.json(), { results: [{ status: 'resolved', values: { apiKey: /./ } }] })
})

t.test('examples of bodies by name have no made-up ids', async (t) => {
  const named = [
    'AppCredentialCreate',
    'AppCredentialUpdate',
    'EnvironmentValues',
    'ProjectIds',
    'RevealRequest'
  ]
  for (const name of [...named, 'AppCredentialKeyInput']) {
    const { examples } = document.components.schemas[name]!
    t.ok(examples?.length, name)
    t.notMatch(JSON.stringify(examples), /[0-9a-f]{8}-[0-9a-f]{4}-/, name)
  }
})
