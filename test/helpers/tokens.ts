import type { Client } from './client.ts'
import { uniqueName } from './fixtures.ts'

/** Creates a token and returns a client that uses it. It is personal unless `more` has a project. */
export async function newToken(client: Client, scopes: string[], more: object = {}): Promise<Client> {
  const made = await client.post('/api/v1/access-tokens', { name: uniqueName('token'), scopes, ...more })
  if (made.status !== 201) throw new Error(`no token: ${made.text}`)
  const caller = client.other()
  caller.bearer = made.json.token
  caller.person = client.person
  return caller
}
