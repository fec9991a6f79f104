import type { Client } from './client.ts'

let count = 0

/** Returns a name that is unique in the test run. */
export function uniqueName(prefix: string): string {
  return `${prefix} ${process.pid}-${++count}`
}

export interface TestType {
  id: string
  /** Field ids by field name. */
  field: Record<string, string>
}

/** Creates a type with `fields`, or with a public `host`, a secret `password` and an optional `note`. */
export async function newType(client: Client, fields?: object[]): Promise<TestType> {
  const made = await client.post('/api/v1/credential-types', {
    typeName: uniqueName('type'),
    fields: fields ?? [
      { fieldName: 'host', fieldLabel: 'Host', fieldType: 'text', secret: false },
      { fieldName: 'password', fieldLabel: 'Password', fieldType: 'password' },
      { fieldName: 'note', fieldLabel: 'Note', fieldType: 'text', required: false }
    ]
  })
  if (made.status !== 201) throw new Error(`no type: ${made.text}`)
  const named = made.json.fields as { fieldName: string; id: string }[]
  return { id: made.json.id, field: Object.fromEntries(named.map((field) => [field.fieldName, field.id])) }
}

/** Creates a project that the client owns. */
export async function newProject(client: Client): Promise<string> {
  const made = await client.post('/api/v1/projects', { name: uniqueName('project') })
  if (made.status !== 201) throw new Error(`no project: ${made.text}`)
  return made.json.id
}

export async function addMember(
  owner: Client,
  projectId: string,
  member: Client,
  role: string
): Promise<void> {
  const made = await owner.post(`/api/v1/projects/${projectId}/members`, { email: member.person.email, role })
  if (made.status !== 201) throw new Error(`no member: ${made.text}`)
}

/** Returns a valid body for creating a credential of a type from `newType`. */
export function newCredentialBody(type: TestType, more: object = {}) {
  return {
    credentialName: uniqueName('credential'),
    credentialTypeId: type.id,
    keys: [
      { fieldId: type.field['host'], keyValue: 'mail.example.org' },
      { fieldId: type.field['password'], keyValue: 'hunter2 hunter2' }
    ],
    ...more
  }
}

/** Creates a credential and returns the resource. */
export async function newCredential(client: Client, type: TestType, more: object = {}) {
  const made = await client.post('/api/v1/app-credentials', newCredentialBody(type, more))
  if (made.status !== 201) throw new Error(`no credential: ${made.text}`)
  return made.json
}

/** Returns the revealed values by field name. */
export async function reveal(
  client: Client,
  id: string,
  body: object = {}
): Promise<Record<string, unknown>> {
  const answer = await client.post(`/api/v1/app-credentials/${id}/reveal`, body)
  if (answer.status !== 200) throw new Error(`not revealed: ${answer.text}`)
  const keys = answer.json.keys as { fieldName: string; keyValue: unknown }[]
  return Object.fromEntries(keys.map((key) => [key.fieldName, key.keyValue]))
}
