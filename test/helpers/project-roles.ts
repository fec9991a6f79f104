import type { Test } from 'tap'
import { startTestApp, type TestApp } from './app.ts'
import type { Answer, Client } from './client.ts'
import { uniqueName } from './fixtures.ts'

export const PROJECTS = '/api/v1/projects'

/** The members and roles of a project from `newProject`. */
export const PEOPLE = { Olga: 'owner', Adam: 'admin', Eddy: 'editor', Vera: 'viewer', Mimi: 'viewer' }

/** Starts the service with a user for each role, Mimi as the member to change, and Nora, not a member. */
export async function startWithRoles(t: Test) {
  const service: TestApp = await startTestApp(t)
  const newUser = (name: string) => service.newUser({ name })
  const olga = await newUser('Olga')
  const adam = await newUser('Adam')
  const eddy = await newUser('Eddy')
  const vera = await newUser('Vera')
  const mimi = await newUser('Mimi')
  const nora = await newUser('Nora')
  const people = { Adam: adam, Eddy: eddy, Vera: vera, Mimi: mimi }
  return {
    service,
    ...{ olga, adam, eddy, vera, mimi, nora },

    /** Creates a project with these members and returns its path. */
    async newProject(): Promise<string> {
      const { headers } = await olga.post(PROJECTS, { name: uniqueName('Report') })
      const path = headers.get('location')!
      for (const [name, { person }] of Object.entries(people)) {
        await olga.post(`${path}/members`, { email: person.email, role: PEOPLE[name as keyof typeof people] })
      }
      return path
    },

    /** Returns the roles by user name. */
    async rolesIn(project: string, who: Client = adam): Promise<Record<string, string>> {
      const { json } = await who.get(`${project}/members`)
      return Object.fromEntries(json.map((one: { name: string; role: string }) => [one.name, one.role]))
    }
  }
}

export const memberPath = (project: string, { person }: Client) => `${project}/members/${person.id}`

export const outcome = ({ status, json }: Answer) => (json.code ? [status, json.code] : [status])
