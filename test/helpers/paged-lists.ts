import { randomBytes, randomUUID } from 'node:crypto'
import { type RawBuilder, sql } from 'kysely'
import type { TestApp } from './app.ts'
import type { Answer, Client } from './client.ts'
import { newCredential, newProject, newType } from './fixtures.ts'

/** A list in the API document, with its own rows. */
export interface PagedList {
  caller: Client
  path: string
  /** Adds a row. There are only a few sort keys, so that many are equal or differ by microseconds. */
  insert(id: string): Promise<unknown>
  /** Undefined for a list whose rows cannot be deleted. */
  remove?: (id: string) => Promise<unknown>
  /** The id of a row. */
  idOf?(row: Record<string, string>): string
}

/** Returns the rows of a page and the cursor of the next page, for all formats of lists. */
export function pageIn({ json, headers }: Answer): { rows: Record<string, string>[]; next: string | null } {
  const rows = Array.isArray(json) ? json : (json.data ?? json.credentials)
  if (json.nextCursor !== undefined) return { rows, next: json.nextCursor }
  const link = (headers.get('link') ?? '').split(', ').find((one) => one.endsWith('rel="next"'))
  const query = /^<\?([^>]*)>/.exec(link ?? '')?.[1]
  return { rows, next: new URLSearchParams(query).get('cursor') }
}

/** Returns every list in the API document, by operation. */
export async function pagedLists(service: TestApp): Promise<Record<string, PagedList>> {
  const { db, admin } = service
  const ann = await service.newUser()
  const owner = ann.person.id
  const type = await newType(ann)
  const projectId = await newProject(ann)
  const { id: usedId } = await newCredential(ann, type)
  const holder = await service.newUser()
  const tokenHolder = await service.newUser()
  const credentialHolder = await service.newUser()
  const projectHolder = await service.newUser()
  const lightningHolder = await service.newUser()
  const run = (query: RawBuilder<unknown>) => query.execute(db)
  let count = 0
  /** One of seven times that differ by microseconds. */
  const time = () => sql`timestamptz '2026-01-01' + ${++count % 7} * interval '1 microsecond'`
  const expiry = () => sql`case when ${count % 3} > 0 then ${time()} + interval '80 years' end`
  const hash = () => randomBytes(32)
  const named = (id: string) => sql`${`Name ${id}`}, ${`name ${id}`}`
  /** Equal names, for lists that may have them. */
  const equal = () => sql`${`Name ${count % 4}`}, ${`name ${count % 4}`}`

  const insertUser = (id: string) =>
    run(sql`insert into users (id, email, name, name_key, password_hash, role, created_at, updated_at)
      values (${id}, ${`${id}@example.org`}, ${equal()}, 'x', 'user', ${time()}, ${time()})`)
  const removeFrom = (table: string) => (id: string) =>
    run(sql`delete from ${sql.table(table)} where id = ${id}`)
  const insertCredential = (ownerId: string) => (id: string) =>
    run(sql`insert into credentials
      (id, owner_id, type_id, name, name_key, created_at, updated_at, expires_at)
      values (${id}, ${ownerId}, ${type.id}, ${named(id)}, ${time()}, ${time()}, ${expiry()})`)
  const insertLinked = async (id: string) => {
    await insertCredential(owner)(id)
    await run(sql`insert into credential_projects (id, credential_id, project_id)
      values (${randomUUID()}, ${id}, ${projectId})`)
  }
  const remove = removeFrom('credentials')

  return {
    listUsers: { caller: admin, path: '/api/v1/users', insert: insertUser, remove: removeFrom('users') },
    listProjects: {
      caller: projectHolder,
      path: '/api/v1/projects',
      insert: async (id) => {
        await run(sql`insert into projects (id, name, name_key, created_at, updated_at)
          values (${id}, ${named(id)}, ${time()}, ${time()})`)
        await run(sql`insert into project_members (project_id, user_id, role)
          values (${id}, ${projectHolder.person.id}, 'owner')`)
      },
      remove: removeFrom('projects')
    },
    listProjectMembers: {
      caller: ann,
      path: `/api/v1/projects/${projectId}/members`,
      insert: async (id) => {
        await insertUser(id)
        await run(sql`insert into project_members (project_id, user_id, role, created_at)
          values (${projectId}, ${id}, 'viewer', ${time()})`)
      },
      remove: removeFrom('users'),
      idOf: (row) => row['userId']!
    },
    listCredentialTypes: {
      caller: ann,
      path: '/api/v1/credential-types',
      insert: (id) =>
        run(sql`insert into credential_types (id, type_name, name_key, created_at, updated_at)
          values (${id}, ${named(id)}, ${time()}, ${time()})`),
      remove: removeFrom('credential_types')
    },
    listSessions: {
      caller: holder,
      path: '/api/v1/sessions',
      insert: (id) =>
        run(sql`insert into sessions (id, token_hash, user_id, ip, created_at, expires_at)
          values (${id}, ${hash()}, ${holder.person.id}, '::1', ${time()}, now() + interval '1 hour')`),
      remove: removeFrom('sessions')
    },
    listAccessTokens: {
      caller: tokenHolder,
      path: '/api/v1/access-tokens',
      insert: (id) =>
        run(sql`insert into access_tokens (id, token_hash, name, scopes, user_id, created_at, expires_at)
          values (${id}, ${hash()}, 'x', '{credentials:read}', ${tokenHolder.person.id}, ${time()},
            ${expiry()})`),
      remove: removeFrom('access_tokens')
    },
    listAppCredentials: {
      caller: credentialHolder,
      path: '/api/v1/app-credentials',
      insert: insertCredential(credentialHolder.person.id),
      remove
    },
    listCredentialsByProject: {
      caller: ann,
      path: `/api/v1/app-credentials/by-project/${projectId}`,
      insert: insertLinked,
      remove
    },
    lightningListCredentials: {
      caller: lightningHolder,
      path: '/api/credentials',
      insert: insertCredential(lightningHolder.person.id),
      remove
    },
    lightningListProjectCredentials: {
      caller: ann,
      path: `/api/projects/${projectId}/credentials`,
      insert: insertLinked,
      remove
    },
    listUsages: {
      caller: ann,
      path: `/api/v1/app-credentials/${usedId}/usages`,
      insert: (id) =>
        run(sql`insert into credential_usages (credential_id, consumer, project_id, created_at)
          values (${usedId}, ${id}, null, ${time()}), (${usedId}, ${id}, ${projectId}, ${time()})`),
      remove: (id) => run(sql`delete from credential_usages where consumer = ${id}`),
      idOf: (row) => `${row['consumer']} ${row['projectId']}`
    },
    listAuditEvents: {
      caller: admin,
      path: '/api/v1/audit-events',
      insert: (id) =>
        run(sql`insert into audit_log (id, action, outcome, actor_type)
          values (${id}, 'test', 'allowed', 'user')`)
    }
  }
}
