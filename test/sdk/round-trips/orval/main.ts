// A round trip with the client of orval, using only its functions.
import * as latchkey from './latchkey'

declare const process: { env: Record<string, string> }

const SECRET = 'staple under glass'
const { EMAIL: email, PASSWORD: password, NOT_FOUND: notFound } = process.env as Record<string, string>

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what)
}

async function main(): Promise<void> {
  // The functions use relative URLs, as in a browser on a page of the service.
  const send = globalThis.fetch
  globalThis.fetch = (path, init) => send(new URL(String(path), process.env['BASE']), init)

  const session = await latchkey.createSession({ email, password })
  check(session.status === 200 && session.data.user.email === email, 'signed in')
  const person = { headers: { cookie: session.headers.getSetCookie()[0]!.split(';')[0]! } }

  const kind = await latchkey.createCredentialType(
    {
      typeName: 'orval',
      fields: [{ fieldName: 'apiKey', fieldLabel: 'API key', fieldType: 'password' }]
    },
    person
  )
  check(kind.status === 201, 'a type')
  const project = await latchkey.createProject({ name: 'orval' }, person)
  check(project.status === 201, 'a project')
  const made = await latchkey.createAppCredential(
    {
      credentialName: 'From orval',
      credentialType: 'orval',
      values: { apiKey: SECRET },
      description: 'For the round trip',
      projects: ['orval']
    },
    { headers: { ...person.headers, 'idempotency-key': 'orval-1' } }
  )
  check(made.status === 201 && made.data.revision === 1, 'a credential')
  check(made.data.description === 'For the round trip', 'with a description')

  const page = await latchkey.listAppCredentials({ search: 'from orval' }, person)
  check(page.status === 200 && page.data.total === 1, 'a list')
  check(page.data.data[0]?.id === made.data.id, 'it is in the list')

  const changed = await latchkey.updateAppCredential(made.data.id, { description: null }, person)
  check(changed.status === 200 && changed.data.description === null, 'the description is cleared')

  const token = await latchkey.createAccessToken(
    { name: 'orval', scopes: ['credentials:resolve'], projectId: project.data.id },
    person
  )
  check(token.status === 201, 'a token')
  const answer = await latchkey.resolveCredentials(
    project.data.id,
    { credentials: [{ name: 'From orval' }, { name: 'No such credential' }] },
    { headers: { authorization: `Bearer ${token.data.token}` } }
  )
  check(answer.status === 200, 'resolved')
  const [result, failure] = answer.data.results
  check(result?.status === 'resolved' && result.values['apiKey'] === SECRET, 'the value is what was stored')
  check(failure?.status === 'failed' && failure.error.code === notFound, 'the error code')

  const gone = await latchkey.deleteAppCredential(made.data.id, person)
  check(gone.status === 200 && gone.data.success, 'it is deleted')
  const missing = await latchkey.getAppCredential(made.data.id, person)
  check(missing.status === 404 && missing.data.code === notFound, 'a problem')

  console.log('round trip done')
}

void main()
