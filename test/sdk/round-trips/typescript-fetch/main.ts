// A round trip with the TypeScript client of openapi-generator, using only its functions.
import {
  AccessTokensApi,
  AppCredentialsApi,
  Configuration,
  CredentialTypesApi,
  FieldType,
  ProblemFromJSON,
  ProjectsApi,
  ResponseError,
  SessionApi
} from './latchkey'

declare const process: { env: Record<string, string> }

const SECRET = 'staple under glass'
const {
  BASE: basePath,
  EMAIL: email,
  PASSWORD: password,
  NOT_FOUND: notFound
} = process.env as Record<string, string>

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what)
}

async function main(): Promise<void> {
  const session = await new SessionApi(new Configuration({ basePath })).createSessionRaw({
    signIn: { email, password }
  })
  check((await session.value()).user.email === email, 'signed in')
  const cookie = session.raw.headers.getSetCookie()[0]!.split(';')[0]!
  const person = new Configuration({ basePath, headers: { cookie } })
  const credentials = new AppCredentialsApi(person)

  await new CredentialTypesApi(person).createCredentialType({
    credentialTypeCreate: {
      typeName: 'TypeScript',
      fields: [{ fieldName: 'apiKey', fieldLabel: 'API key', fieldType: FieldType.Password }]
    }
  })
  const project = await new ProjectsApi(person).createProject({ projectCreate: { name: 'TypeScript' } })
  const made = await credentials.createAppCredential({
    idempotencyKey: 'typescript-1',
    appCredentialCreate: {
      credentialName: 'From TypeScript',
      credentialType: 'TypeScript',
      values: { apiKey: SECRET },
      description: 'For the round trip',
      projects: ['TypeScript']
    }
  })
  check(made.revision === 1 && made.description === 'For the round trip', 'a credential')

  const page = await credentials.listAppCredentials({ search: 'from typescript' })
  check(page.total === 1 && page.data[0]?.id === made.id, 'it is in the list')

  const { id } = made
  const changed = await credentials.updateAppCredential({ id, appCredentialUpdate: { description: null } })
  check(changed.description === null && changed.revision === 2, 'the description is cleared')

  const token = await new AccessTokensApi(person).createAccessToken({
    accessTokenCreate: {
      name: 'TypeScript',
      scopes: new Set(['credentials:resolve']),
      projectId: project.id
    }
  })
  const machine = new AppCredentialsApi(new Configuration({ basePath, accessToken: token.token }))
  const answer = await machine.resolveCredentials({
    id: project.id,
    resolveRequest: { credentials: [{ name: 'From TypeScript' }, { name: 'No such credential' }] }
  })
  const [result, failure] = answer.results
  check(result?.status === 'resolved' && result.values['apiKey'] === SECRET, 'the value is what was stored')
  check(failure?.status === 'failed' && failure.error.code === notFound, 'the error code')

  check((await credentials.deleteAppCredential({ id })).success, 'it is deleted')
  const error = await credentials.getAppCredential({ id }).catch((error: unknown) => error)
  check(error instanceof ResponseError && error.response.status === 404, 'it is gone')
  check(ProblemFromJSON(await error.response.json()).code === notFound, 'a problem')

  console.log('round trip done')
}

void main()
