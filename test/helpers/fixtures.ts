import type { Client } from './client.ts'

let count = 0

/** A name that nothing else in the run has. */
export function uniqueName(prefix: string): string {
  return `${prefix} ${process.pid}-${++count}`
}

export interface TestType {
  id: string
  /** Field ids by field name. */
  field: Record<string, string>
}

/** A type with a plain `host`, a secret `password` and an optional secret `note`, or with `fields`. */
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

/** A project of the client's. */
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

/** The body of a create that is fine, for a type as `newType` makes it. */
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

/** Creates a credential and gives its resource. */
export async function newCredential(client: Client, type: TestType, more: object = {}) {
  const made = await client.post('/api/v1/app-credentials', newCredentialBody(type, more))
  if (made.status !== 201) throw new Error(`no credential: ${made.text}`)
  return made.json
}

/** What reveal gives, by field name. */
export async function reveal(client: Client, id: string): Promise<Record<string, unknown>> {
  const answer = await client.post(`/api/v1/app-credentials/${id}/reveal`, {})
  if (answer.status !== 200) throw new Error(`not revealed: ${answer.text}`)
  const keys = answer.json.keys as { fieldName: string; keyValue: unknown }[]
  return Object.fromEntries(keys.map((key) => [key.fieldName, key.keyValue]))
}
