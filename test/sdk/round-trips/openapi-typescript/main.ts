// A round trip with openapi-fetch and the types of openapi-typescript.
import createClient from 'openapi-fetch'
import type { paths } from './latchkey'

declare const process: { env: Record<string, string> }

const SECRET = 'staple under glass'
const {
  BASE: baseUrl,
  EMAIL: email,
  PASSWORD: password,
  NOT_FOUND: notFound
} = process.env as Record<string, string>

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what)
}

function got<T>({ data }: { data?: T }): T {
  if (data === undefined) throw new Error('refused')
  return data
}

async function main(): Promise<void> {
  const session = await createClient<paths>({ baseUrl }).POST('/api/v1/session', {
    body: { email, password }
  })
  check(got(session).user.email === email, 'signed in')
  const cookie = session.response.headers.getSetCookie()[0]!.split(';')[0]!
  const person = createClient<paths>({ baseUrl, headers: { cookie } })

  got(
    await person.POST('/api/v1/credential-types', {
      body: {
        typeName: 'openapi-fetch',
        fields: [{ fieldName: 'apiKey', fieldLabel: 'API key', fieldType: 'password' }]
      }
    })
  )
  const project = got(await person.POST('/api/v1/projects', { body: { name: 'openapi-fetch' } }))
  const made = got(
    await person.POST('/api/v1/app-credentials', {
      params: { header: { 'Idempotency-Key': 'openapi-fetch-1' } },
      body: {
        credentialName: 'From openapi-fetch',
        credentialType: 'openapi-fetch',
        values: { apiKey: SECRET },
        description: 'For the round trip',
        projects: ['openapi-fetch']
      }
    })
  )
  check(made.revision === 1 && made.description === 'For the round trip', 'a credential')

  const page = got(
    await person.GET('/api/v1/app-credentials', { params: { query: { search: 'from openapi-fetch' } } })
  )
  check(page.total === 1 && page.data[0]?.id === made.id, 'it is in the list')

  const params = { path: { id: made.id } }
  const changed = got(
    await person.PUT('/api/v1/app-credentials/{id}', { params, body: { description: null } })
  )
  check(changed.description === null && changed.revision === 2, 'the description is cleared')

  const token = got(
    await person.POST('/api/v1/access-tokens', {
      body: { name: 'openapi-fetch', scopes: ['credentials:resolve'], projectId: project.id }
    })
  )
  const machine = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${token.token}` } })
  const answer = got(
    await machine.POST('/api/v1/projects/{id}/resolve', {
      params: { path: { id: project.id } },
      body: { credentials: [{ name: 'From openapi-fetch' }, { name: 'No such credential' }] }
    })
  )
  const [result, failure] = answer.results
  check(result?.status === 'resolved' && result.values['apiKey'] === SECRET, 'the value is what was stored')
  check(failure?.status === 'failed' && failure.error.code === notFound, 'the error code')

  check(got(await person.DELETE('/api/v1/app-credentials/{id}', { params })).success, 'it is deleted')
  const missing = await person.GET('/api/v1/app-credentials/{id}', { params })
  check(missing.response.status === 404 && missing.error?.code === notFound, 'a problem')

  console.log('round trip done')
}

void main()
