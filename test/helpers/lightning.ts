import type { Test } from 'tap'
import { startFakeServer } from './fake-server.ts'

export const LIGHTNING_TOKEN = 'a-personal-access-token-of-lightning'

const USER = '3f1de7a0-52a4-4a55-8a39-8f4f4f0d2b11'
interface Project {
  id: string
  name: string
  description: string | null
}

export const REPORTS: Project = {
  id: 'a1b2c3d4-5e6f-4a8b-9c0d-1e2f3a4b5c6d',
  name: 'reports',
  description: 'The numbers of the day'
}
const SALES: Project = { id: 'b2c3d4e5-6f7a-4b9c-8d1e-2f3a4b5c6d7e', name: 'sales', description: null }

/** Returns a credential as in Lightning's list: `lib/lightning_web/controllers/api/credential_json.ex`. */
export function credential(id: string, name: string, schema: string, projects: readonly Project[]) {
  const times = { inserted_at: '2026-03-02T09:00:00Z', updated_at: '2026-03-02T09:00:00Z' }
  return {
    id,
    name,
    schema,
    external_id: name === 'Shop' ? 'shop-1' : null,
    user_id: USER,
    project_credentials: projects.map((project) => ({
      id: id.replace(/^.{8}/, project.id.slice(0, 8)),
      project_id: project.id,
      credential_id: id,
      ...times
    })),
    projects,
    ...times
  }
}

const CREDENTIALS = [
  credential('c0a80121-7ac0-4c1d-9d1b-0f9a6c2e5a01', 'Shop', 'http', [SALES]),
  credential('c0a80121-7ac0-4c1d-9d1b-0f9a6c2e5a02', 'Warehouse', 'postgresql', [REPORTS]),
  credential('c0a80121-7ac0-4c1d-9d1b-0f9a6c2e5a03', 'Weather', 'raw', [REPORTS])
]

/**
 * Starts a server that answers `GET /api/credentials` as Lightning 2.15 does, without the bodies of the
 * credentials. By default, it has three.
 */
export async function startLightning(t: Test, credentials = CREDENTIALS): Promise<string> {
  const { origin } = await startFakeServer(t, ({ method, url, headers }) => {
    const answer = (status: number, body: object) => ({
      status,
      headers: { 'content-type': 'application/json; charset=utf-8' },
      body: JSON.stringify(body)
    })
    if (headers.authorization !== `Bearer ${LIGHTNING_TOKEN}`) return answer(401, { error: 'Unauthorized' })
    if (method !== 'GET' || url !== '/api/credentials') return answer(404, { error: 'Not Found' })
    return answer(200, { credentials, errors: {} })
  })
  return origin
}
