// A round trip with the client of @hey-api/openapi-ts, using only its functions.
import * as latchkey from './latchkey'
import { createClient } from './latchkey/client'

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
  const session = await latchkey.createSession({
    client: createClient({ baseUrl }),
    body: { email, password }
  })
  check(got(session).user.email === email, 'signed in')
  const cookie = session.response!.headers.getSetCookie()[0]!.split(';')[0]!
  const client = createClient({ baseUrl, headers: { cookie } })

  got(
    await latchkey.createCredentialType({
      client,
      body: {
        typeName: 'Hey API',
        fields: [{ fieldName: 'apiKey', fieldLabel: 'API key', fieldType: 'password' }]
      }
    })
  )
  const project = got(await latchkey.createProject({ client, body: { name: 'Hey API' } }))
  const made = got(
    await latchkey.createAppCredential({
      client,
      headers: { 'Idempotency-Key': 'hey-api-1' },
      body: {
        credentialName: 'From Hey API',
        credentialType: 'Hey API',
        values: { apiKey: SECRET },
        description: 'For the round trip',
        projects: ['Hey API']
      }
    })
  )
  check(made.revision === 1 && made.description === 'For the round trip', 'a credential')

  const page = got(await latchkey.listAppCredentials({ client, query: { search: 'from hey api' } }))
  check(page.total === 1 && page.data[0]?.id === made.id, 'it is in the list')

  const path = { id: made.id }
  const changed = got(await latchkey.updateAppCredential({ client, path, body: { description: null } }))
  check(changed.description === null && changed.revision === 2, 'the description is cleared')

  const token = got(
    await latchkey.createAccessToken({
      client,
      body: { name: 'Hey API', scopes: ['credentials:resolve'], projectId: project.id }
    })
  )
  const answer = got(
    await latchkey.resolveCredentials({
      client: createClient({ baseUrl, auth: token.token }),
      path: { id: project.id },
      body: { credentials: [{ name: 'From Hey API' }, { name: 'No such credential' }] }
    })
  )
  const [result, failure] = answer.results
  check(result?.status === 'resolved' && result.values['apiKey'] === SECRET, 'the value is what was stored')
  check(failure?.status === 'failed' && failure.error.code === notFound, 'the error code')

  check(got(await latchkey.deleteAppCredential({ client, path })).success, 'it is deleted')
  const missing = await latchkey.getAppCredential({ client, path })
  check(missing.response?.status === 404 && missing.error?.code === notFound, 'a problem')

  console.log('round trip done')
}

void main()
