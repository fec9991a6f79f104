import { readFile } from 'node:fs/promises'
import { sql } from 'kysely'
import { hashToken, newToken as newSessionToken } from '../../src/crypto/tokens.ts'
import type { ProjectRole } from '../../src/db/tables.ts'
import { uuidv7 } from '../../src/ids.ts'
import { nameColumns } from '../../src/names.ts'
import type { TestApp } from './app.ts'
import type { Client } from './client.ts'
import { addMember, newCredential, newCredentialBody, newProject, newType, uniqueName } from './fixtures.ts'

// A valid request for each row of the table in docs/reference/permissions.md, and a caller for each of its
// columns.

export interface Row {
  operationId: string
  request: string
  /** The status by column. */
  expected: Map<string, number>
}

export interface Caller {
  column: string
  name: string
  client: Client
  /** The id of the user or project token in the audit log. Null if unauthenticated. */
  actorId: string | null
  /** Restores the caller's state, which an earlier request may have ended. Runs before each request. */
  before?: () => Promise<unknown>
}

export interface Asked {
  params?: Record<string, string>
  query?: string
  body?: object
  /** Replaces the client of the caller. */
  client?: Client
}

export interface Case {
  /**
   * Creates what the request needs to succeed for permitted callers. Called again after a request that
   * changed it.
   */
  make(world: World, caller: Caller): Promise<Asked> | Asked
  /** The request depends on the caller, so `make` is called for each one. */
  own?: true
  /** The request is not a GET, but changes nothing. */
  still?: true
}

export type World = Awaited<ReturnType<typeof newWorld>>

/** The requests by operation, or by operation and case. */
export const CASES: Record<string, Case> = {
  getLiveness: { make: () => ({}) },
  getReadiness: { make: () => ({}) },

  createSession: {
    make: ({ stranger }) => ({ body: { email: stranger.person.email, password: stranger.person.password } })
  },
  getSession: { make: () => ({}) },
  deleteSession: {
    own: true,
    make: async (world, { client }) => ({ client: await world.otherSession(client) })
  },
  listSessions: { make: () => ({}) },
  'endSession own': {
    own: true,
    make: async (world, { client }) => ({ params: { id: (await world.session(client.person.id)).id } })
  },
  'endSession another user’s': {
    make: async (world) => ({ params: { id: (await world.session(world.bystander.person.id)).id } })
  },
  changePassword: {
    own: true,
    make: (_world, { client: { person } }) => ({
      body: { currentPassword: person.password, newPassword: person.password }
    })
  },

  'createAccessToken personal': {
    make: () => ({ body: { name: 'Job', scopes: ['credentials:read'] } })
  },
  'createAccessToken of the project': {
    make: ({ projectId }) => ({ body: { name: 'Runner', scopes: ['credentials:resolve'], projectId } })
  },
  'listAccessTokens own': { make: () => ({}) },
  'listAccessTokens of the project': { make: ({ projectId }) => ({ query: `projectId=${projectId}` }) },
  'revokeAccessToken own': {
    own: true,
    make: async (world, { client }) => ({
      params: { id: await world.tokenRow({ user_id: client.person.id }) }
    })
  },
  'revokeAccessToken another user’s': {
    make: async (world) => ({
      params: { id: await world.tokenRow({ user_id: world.bystander.person.id }) }
    })
  },
  'revokeAccessToken of the project': {
    make: async (world) => ({ params: { id: await world.tokenRow({ project_id: world.projectId }) } })
  },

  listUsers: { make: () => ({}) },
  createUser: {
    make: () => ({
      body: { email: `${uuidv7()}@example.org`, name: 'Somebody', password: 'correct horse battery' }
    })
  },
  'getUser self': { own: true, make: (_world, { client }) => ({ params: { id: client.person.id } }) },
  'getUser another user': { make: ({ bystander }) => ({ params: { id: bystander.person.id } }) },
  'updateUser own name': {
    own: true,
    make: (_world, { client }) => ({ params: { id: client.person.id }, body: { name: uniqueName('Me') } })
  },
  'updateUser own role': {
    own: true,
    make: (_world, { client }) => ({ params: { id: client.person.id }, body: { role: 'admin' } })
  },
  'updateUser another user': {
    make: ({ bystander }) => ({ params: { id: bystander.person.id }, body: { name: uniqueName('You') } })
  },
  'deleteUser another user': { make: async (world) => ({ params: { id: await world.user() } }) },

  listProjects: { make: () => ({}) },
  createProject: { make: () => ({ body: { name: uniqueName('project') } }) },
  getProject: { make: ({ projectId }) => ({ params: { id: projectId } }) },
  updateProject: {
    make: ({ projectId }) => ({ params: { id: projectId }, body: { name: uniqueName('project') } })
  },
  deleteProject: { make: async (world) => ({ params: { id: await world.copyProject() } }) },
  listProjectMembers: { make: ({ projectId }) => ({ params: { id: projectId } }) },
  ...forMembers('addProjectMember', (email, role) => ({ body: { email, role } })),
  ...forMembers('changeProjectMember', (_email, role) => ({
    body: { role: role === 'owner' ? 'viewer' : 'editor' }
  })),
  ...forMembers('removeProjectMember', () => ({})),
  'removeProjectMember self': {
    own: true,
    make: async (world, { client }) => {
      const id = await world.copyProject()
      await world.member(id, world.bystander.person.id, 'owner')
      return { params: { id, userId: client.person.id } }
    }
  },

  listCredentialTypes: { make: () => ({}) },
  createCredentialType: {
    make: () => ({
      body: {
        typeName: uniqueName('type'),
        fields: [{ fieldName: 'key', fieldLabel: 'Key', fieldType: 'password' }]
      }
    })
  },
  getCredentialType: { make: ({ type }) => ({ params: { id: type.id } }) },
  'updateCredentialType the credential owner’s': {
    make: ({ type }) => ({ params: { id: type.id }, body: { description: uniqueName('type') } })
  },
  'updateCredentialType built-in': {
    make: ({ builtInId }) => ({ params: { id: builtInId }, body: { description: 'Mine now' } })
  },
  'deleteCredentialType the credential owner’s': {
    make: async ({ holder }) => ({ params: { id: (await newType(holder)).id } })
  },
  'deleteCredentialType built-in': { make: ({ builtInId }) => ({ params: { id: builtInId } }) },

  listAppCredentials: { make: () => ({}) },
  'createAppCredential in no project': {
    own: true,
    make: () => ({
      body: { credentialName: uniqueName('credential'), credentialType: 'api-key', values: { apiKey: 'k' } }
    })
  },
  'createAppCredential in the project': {
    own: true,
    make: ({ type, projectId }) => ({ body: newCredentialBody(type, { projectIds: [projectId] }) })
  },
  getAppCredential: { make: ({ credentialId }) => ({ params: { id: credentialId } }) },
  updateAppCredential: {
    make: ({ credentialId }) => ({
      params: { id: credentialId },
      body: { description: uniqueName('credential'), values: { note: 'x' } }
    })
  },
  deleteAppCredential: { make: async (world) => ({ params: { id: await world.credential() } }) },
  'assignProjects to no project': {
    make: async (world) => ({ params: { id: await world.credential() }, body: { projectIds: [] } })
  },
  'assignProjects to another project': {
    make: (world) => ({ params: { id: world.credentialId }, body: { projectIds: [world.elsewhereId] } })
  },
  listCredentialsByProject: { make: ({ projectId }) => ({ params: { projectId } }) },
  removeCredentialFromProject: {
    make: async (world) => ({ params: { projectId: world.projectId, id: await world.credential() } })
  },
  revealAppCredential: { still: true, make: ({ credentialId }) => ({ params: { id: credentialId } }) },
  putEnvironment: {
    make: ({ credentialId }) => ({
      params: { id: credentialId, environment: 'staging' },
      body: { values: { host: 'staging.example.org', password: 'x' } }
    })
  },
  deleteEnvironment: {
    make: async ({ holder, credential, keys }) => {
      const id = await credential()
      await succeed(holder.put(`/api/v1/app-credentials/${id}/environments/staging`, { keys }))
      return { params: { id, environment: 'staging' } }
    }
  },
  transferAppCredential: {
    make: async (world) => ({
      params: { id: await world.credential() },
      body: { email: world.editor.person.email }
    })
  },
  listUsages: { make: ({ credentialId }) => ({ params: { id: credentialId } }) },
  putUsage: {
    make: ({ credentialId }) => ({ params: { id: credentialId, consumer: `workflow:${uuidv7()}` } })
  },
  'deleteUsage of the project': {
    make: async ({ db, credentialId, projectId }) => {
      const consumer = `workflow:${uuidv7()}`
      const usage = { credential_id: credentialId, project_id: projectId, consumer }
      await db.insertInto('credential_usages').values(usage).execute()
      return { params: { id: credentialId, consumer } }
    }
  },
  resolveCredentials: {
    still: true,
    make: ({ projectId, credentialId }) => ({
      params: { id: projectId },
      body: { credentials: [{ id: credentialId }] }
    })
  },

  listAuditEvents: { make: () => ({}) },
  getAuditHead: { make: () => ({}) },

  'lightningListCredentials own': { make: () => ({}) },
  'lightningListCredentials of the project': {
    make: ({ projectId }) => ({ query: `project_id=${projectId}` })
  },
  'lightningCreateCredential in no project': {
    own: true,
    make: () => ({ body: { name: uniqueName('credential'), body: { token: 'x' } } })
  },
  'lightningCreateCredential in the project': {
    own: true,
    make: ({ projectId }) => ({
      body: {
        name: uniqueName('credential'),
        body: { token: 'x' },
        project_credentials: [{ project_id: projectId }]
      }
    })
  },
  lightningListProjectCredentials: { make: ({ projectId }) => ({ params: { id: projectId } }) },
  lightningDeleteCredential: { make: async (world) => ({ params: { id: await world.credential() } }) }
}

// Each partial update also exists as PATCH.
for (const [name, one] of Object.entries(CASES))
  if (/^(update|putEnvironment)/.test(name)) CASES[name.replace(/^(update|put)/, 'patch')] = one

/** Returns requests on a viewer of the project, and on an owner who is not its last one. */
function forMembers(operation: string, body: (email: string, role: ProjectRole) => Asked) {
  const of = (role: ProjectRole): Case => ({
    async make({ bystander, copyProject, member }) {
      const { id: userId, email } = bystander.person
      const id = await copyProject()
      if (operation !== 'addProjectMember') await member(id, userId, role)
      const params = operation === 'addProjectMember' ? { id } : { id, userId }
      return { params, ...body(email, role) }
    }
  })
  return { [`${operation} a viewer`]: of('viewer'), [`${operation} an owner`]: of('owner') }
}

/** Returns the rows of the table by operation, or by operation and case. */
export async function readTable(): Promise<Map<string, Row>> {
  const text = await readFile(new URL('../../docs/reference/permissions.md', import.meta.url), 'utf8')
  const cellsOf = (line: string) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim())
  const lines = text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map(cellsOf)
  const head = lines.findIndex(([first]) => first === 'operation')
  const [, , , ...columns] = lines[head]!
  const rows = new Map<string, Row>()
  for (const [operationId, request, of, ...cells] of lines.slice(head + 2)) {
    const name = of ? `${operationId} ${of}` : operationId!
    if (rows.has(name)) throw new Error(`${name} is in the table twice`)
    const expected = new Map(columns.map((column, index) => [column, Number(cells[index])]))
    rows.set(name, { operationId: operationId!, request: request!.replaceAll('`', ''), expected })
  }
  return rows
}

/** Creates a project, a credential, and the callers for each column. */
export async function newWorld(service: TestApp) {
  const { db } = service
  const person = () => service.newUser()
  const [stranger, viewer, editor, admin, owner] = [
    await person(),
    await person(),
    await person(),
    await person(),
    await person()
  ]
  const [holder, bystander, disabled, outsider] = [
    await person(),
    await person(),
    await person(),
    await person()
  ]
  const administrator = await service.newUser({ role: 'admin', name: 'administrator' })
  const projectId = await newProject(owner)
  for (const [role, client] of Object.entries({ viewer, editor, admin }))
    await addMember(owner, projectId, client, role)
  await addMember(owner, projectId, holder, 'editor')
  await addMember(owner, projectId, disabled, 'owner')
  const elsewhereId = await newProject(outsider)
  const type = await newType(holder)
  const linked = { projectIds: [projectId] }
  const { id: credentialId } = await newCredential(holder, type, linked)
  const builtIn = await db
    .selectFrom('credential_types')
    .where('owner_id', 'is', null)
    .select('id')
    .executeTakeFirstOrThrow()

  const member = (project_id: string, user_id: string, role: ProjectRole) =>
    db.insertInto('project_members').values({ project_id, user_id, role }).execute()

  async function session(user_id: string) {
    const token = newSessionToken()
    const row = {
      id: uuidv7(),
      token_hash: hashToken(token),
      user_id,
      ip: '127.0.0.1',
      user_agent: null,
      expires_at: new Date(Date.now() + 3_600_000)
    }
    await db.insertInto('sessions').values(row).execute()
    return { ...row, cookie: `latchkey_session=${token}` }
  }

  /** Creates a token as `maker`. Returns a client that uses it, and the token's id. */
  async function byToken(maker: Client, scopes: readonly string[], project?: string) {
    const more = project ? { projectId: project } : {}
    const { json } = await succeed(maker.post('/api/v1/access-tokens', { name: 'T', scopes, ...more }))
    const client = maker.other()
    client.bearer = json.token
    client.person = maker.person
    return { client, id: json.id as string }
  }

  const callers: Caller[] = []
  const unauthenticated = (name: string, client: Client, before?: () => Promise<unknown>) => {
    client.person = disabled.person
    callers.push({ column: 'unauthenticated', name, client, actorId: null, ...(before && { before }) })
  }
  unauthenticated('anonymous', service.anonymous())
  const personal = ['credentials:read', 'credentials:write', 'credentials:reveal', 'audit:read']
  const projectScopes = ['credentials:read', 'credentials:resolve', 'usages:write']
  const past = new Date(Date.now() - 1_000)
  for (const [kind, scopes, maker, project] of [
    ['personal', personal, holder],
    ['project', projectScopes, owner, projectId]
  ] as const) {
    for (const [how, change] of [
      ['expired', { expires_at: past }],
      ['revoked', { revoked_at: past }]
    ] as const) {
      const { client, id } = await byToken(maker, scopes, project)
      await db.updateTable('access_tokens').set(change).where('id', '=', id).execute()
      unauthenticated(`${how} ${kind} token`, client)
    }
  }
  const ended = holder.other()
  const { cookie, id: endedId } = await session(holder.person.id)
  ended.cookie = cookie
  await db.deleteFrom('sessions').where('id', '=', endedId).execute()
  unauthenticated('ended session', ended)
  // Directly in the database, because the API would also end the session and revoke the token.
  const left = await session(disabled.person.id)
  const disabledSession = disabled.other()
  disabledSession.cookie = left.cookie
  const disabledToken = await byToken(disabled, personal)
  await db.updateTable('users').set({ disabled_at: past }).where('id', '=', disabled.person.id).execute()
  unauthenticated('disabled user', disabledSession, () => {
    const { cookie: _, ...row } = left
    return db
      .insertInto('sessions')
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  })
  unauthenticated('token of a disabled user', disabledToken.client)

  for (const [column, client] of Object.entries({
    'other user': stranger,
    viewer,
    editor,
    admin,
    owner,
    'credential owner': holder,
    administrator
  })) {
    callers.push({ column, name: column, client, actorId: client.person.id })
  }
  for (const scope of personal) {
    const name = `personal ${scope === 'audit:read' ? 'audit' : scope.split(':')[1]}`
    const { client } = await byToken(holder, [scope])
    callers.push({ column: name, name, client, actorId: holder.person.id })
  }
  for (const scope of projectScopes) {
    const name = `project ${scope === 'usages:write' ? 'usages' : scope.split(':')[1]}`
    const { client, id } = await byToken(owner, [scope], projectId)
    callers.push({ column: name, name, client, actorId: id })
  }
  const { client: elsewhere, id: elsewhereToken } = await byToken(outsider, projectScopes, elsewhereId)
  const column = 'other project'
  callers.push({ column, name: column, client: elsewhere, actorId: elsewhereToken })

  return {
    db,
    callers,
    ...{ stranger, editor, holder, bystander, owner, administrator },
    projectId,
    elsewhereId,
    type,
    credentialId,
    builtInId: builtIn.id,
    /** Values for an environment. */
    keys: newCredentialBody(type).keys,
    member,
    session,
    byToken,

    /** Returns a copy of the client, with another session if it uses a valid one. */
    async otherSession(client: Client): Promise<Client> {
      const copy = copyOf(client)
      if (client.cookie && client !== disabledSession && client !== ended)
        copy.cookie = (await session(client.person.id)).cookie
      return copy
    },

    /** Creates another credential of the holder in the project. */
    async credential(): Promise<string> {
      return (await newCredential(holder, type, linked)).id
    },

    /** Creates a project with the same members. */
    async copyProject(): Promise<string> {
      const id = uuidv7()
      await db
        .insertInto('projects')
        .values({ id, ...nameColumns(uniqueName('project')), description: null })
        .execute()
      await sql`insert into project_members (project_id, user_id, role)
        select ${id}::uuid, user_id, role from project_members where project_id = ${projectId}::uuid`.execute(
        db
      )
      return id
    },

    /** Creates another user, who owns nothing. */
    async user(): Promise<string> {
      const id = uuidv7()
      const [email, named] = [`${id}@example.org`, nameColumns('Gone')]
      const row = { id, email, ...named, password_hash: 'x', role: 'user' } as const
      await db
        .insertInto('users')
        .values({ ...row, disabled_at: null })
        .execute()
      return id
    },

    /** Creates a token whose text is unknown. */
    async tokenRow(holder: { user_id: string } | { project_id: string }): Promise<string> {
      const id = uuidv7()
      const row = {
        id,
        token_hash: hashToken(id),
        name: 'T',
        scopes: ['credentials:read'],
        user_id: null,
        project_id: null,
        created_by: owner.person.id,
        expires_at: null,
        last_used_at: null,
        revoked_at: null,
        ...holder
      }
      await db.insertInto('access_tokens').values(row).execute()
      return id
    },

    /**
     * Returns a digest of the database, without traces such as last-used times, and the number of denials of
     * the operation for each actor.
     */
    async look(action: string): Promise<{ state: string; denials: Record<string, number> }> {
      // The ids of the transactions that wrote the rows; for two tables, hashes of the rows.
      const tables = [
        ...STATE.map(
          (table) => sql`(select sum(x.xmin::text::bigint) || '+' || count(*) from ${sql.table(table)} x)`
        ),
        sql`(select sum(hashtext((to_jsonb(x) - 'last_used_at')::text)) from access_tokens x)`,
        sql`(select sum(hashtext((to_jsonb(x) - 'last_seen_at')::text)) from sessions x
          where x.user_id <> ${disabled.person.id})`
      ]
      const { rows } = await sql<{ state: string; denials: Record<string, number> }>`
        select concat_ws('/', ${sql.join(tables)}) as state,
          (select coalesce(jsonb_object_agg(actor, sum), '{}') from (
          select coalesce(actor_id::text, '') as actor, sum(count)::int as sum from audit_log
          where outcome = 'denied' and action = ${action} group by 1) as d) as denials`.execute(db)
      return rows[0]!
    },

    /** Returns the actors of the events that the request recorded as allowed. */
    async actorsOf(requestId: string): Promise<(string | null)[]> {
      const events = await db
        .selectFrom('audit_log')
        .where('outcome', '=', 'allowed')
        .where('request_id', '=', requestId)
        .select('actor_id')
        .distinct()
        .execute()
      return events.map((event) => event.actor_id)
    }
  }
}

/** The tables that requests change, except sessions and tokens, whose last use every request may update. */
const STATE = [
  'users',
  'projects',
  'project_members',
  'credential_types',
  'credential_type_fields',
  'credentials',
  'credential_environments',
  'credential_keys',
  'credential_projects',
  'credential_usages',
  'idempotency_keys'
]

export function copyOf(client: Client): Client {
  const copy = client.other()
  copy.cookie = client.cookie
  copy.bearer = client.bearer
  return copy
}

async function succeed(answer: ReturnType<Client['request']>) {
  const { status, text, json } = await answer
  if (status >= 300) throw new Error(text)
  return { json }
}
