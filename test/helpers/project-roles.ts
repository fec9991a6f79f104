import type { Test } from 'tap'
import { startTestApp, type TestApp } from './app.ts'
import type { Answer, Client } from './client.ts'

export const PROJECTS = '/api/v1/projects'

/** The roles of a project as `newProject` makes it. */
export const PEOPLE = { Olga: 'owner', Adam: 'admin', Eddy: 'editor', Vera: 'viewer', Mimi: 'viewer' }

/** The service with people for the roles of a project: Mimi to do things to, and Nora, who is no member. */
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

    /** Gives the path of a new project with this crew. */
    async newProject(): Promise<string> {
      const { headers } = await olga.post(PROJECTS, { name: 'Report' })
      const path = headers.get('location')!
      for (const [name, { person }] of Object.entries(people)) {
        await olga.post(`${path}/members`, { email: person.email, role: PEOPLE[name as keyof typeof people] })
      }
      return path
    },

    /** The roles by name, as one of the members sees them. */
    async rolesIn(project: string, who: Client = adam): Promise<Record<string, string>> {
      const { json } = await who.get(`${project}/members`)
      return Object.fromEntries(json.map((one: { name: string; role: string }) => [one.name, one.role]))
    }
  }
}

export const memberPath = (project: string, { person }: Client) => `${project}/members/${person.id}`

export const outcome = ({ status, json }: Answer) => (json.code ? [status, json.code] : [status])
