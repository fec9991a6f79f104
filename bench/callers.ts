import type { Person, Seeded } from './seed.ts'

/** The headers of those who call, by sessions and a token that the service gave them over HTTP. */
export interface Callers {
  small: Record<string, string>
  large: Record<string, string>
  writer: Record<string, string>
  /** A machine of the small user's project, which may resolve. */
  machine: Record<string, string>
}

export async function signInAll(origin: string, seeded: Seeded): Promise<Callers> {
  const small = await signIn(origin, seeded.small)
  const made = await post(`${origin}/api/v1/access-tokens`, small, {
    name: 'Bench',
    scopes: ['credentials:resolve'],
    projectId: seeded.small.project.id
  })
  const { token } = (await made.json()) as { token: string }
  return {
    small,
    large: await signIn(origin, seeded.large),
    writer: await signIn(origin, seeded.writer),
    machine: { authorization: `Bearer ${token}` }
  }
}

async function signIn(origin: string, { email, password }: Person): Promise<Record<string, string>> {
  const answer = await post(`${origin}/api/v1/session`, {}, { email, password })
  await answer.body?.cancel()
  const [cookie] = answer.headers.getSetCookie()
  return { cookie: cookie!.split(';')[0]! }
}

async function post(url: string, headers: Record<string, string>, body: object): Promise<Response> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  if (!answer.ok) throw new Error(`POST ${new URL(url).pathname} answers ${answer.status}`)
  return answer
}
