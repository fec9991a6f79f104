// Reference routes for comparison: plain Fastify and pg, doing a part of the work of the service's routes.
import { createHash } from 'node:crypto'
import { fastify } from 'fastify'
import pg from 'pg'
import { v7 } from 'uuid'

const POOL = 10
const LANES = 2
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const TOKEN = /(?:^|;\s*)latchkey_session=([A-Za-z0-9_-]{43})(?:;|$)/

const connection: pg.ClientConfig = { connectionString: process.env.DATABASE_URL, options: '-c jit=off' }
const app = fastify()
const pool = new pg.Pool({ ...connection, max: POOL })

const text = { type: 'string' }
const columns = {
  id: text,
  ownerId: text,
  typeId: text,
  typeName: text,
  name: text,
  description: { ...text, nullable: true },
  revision: { type: 'integer' },
  createdAt: text,
  updatedAt: text
}
const answering = (properties: object) => ({ schema: { response: { 200: { type: 'object', properties } } } })

interface Row {
  id: string
  owner_id: string
  type_id: string
  type_name?: string
  name: string
  description: string | null
  revision: number
  created_at: Date
  updated_at: Date
}

const resource = (row: Row) => ({
  id: row.id,
  ownerId: row.owner_id,
  typeId: row.type_id,
  typeName: row.type_name,
  name: row.name,
  description: row.description,
  revision: row.revision,
  createdAt: row.created_at.toISOString(),
  updatedAt: row.updated_at.toISOString()
})

/** No database: the cost of Fastify and a response schema. */
app.get('/bare', answering({ status: text }), async () => ({ status: 'ok' }))

/** One prepared select by id, through a pool. */
app.get<{ Params: { id: string } }>('/row/:id', answering(columns), async ({ params }, reply) => {
  const { rows } = await pool.query<Row>({
    name: 'row',
    text: `select id, owner_id, type_id, name, description, revision, created_at, updated_at
      from credentials where id = $1`,
    values: [params.id]
  })
  return rows[0] ? resource(rows[0]) : reply.code(404).send({})
})

/** Session and row in one pipelined, prepared statement: the minimum for an authenticated read. */
const lanes = await Promise.all(
  Array.from({ length: LANES }, async () => {
    const client = new pg.Client({ ...connection, pipeline: true } as pg.ClientConfig)
    await client.connect()
    return client
  })
)
let turn = 0
app.get<{ Params: { id: string } }>('/joined/:id', answering(columns), async (request, reply) => {
  const token = TOKEN.exec(request.headers.cookie ?? '')?.[1]
  if (!token) return reply.code(401).send({})
  if (!UUID.test(request.params.id)) return reply.code(404).send({})
  const { rows } = await lanes[turn++ % LANES]!.query<Row>({
    name: 'joined',
    text: `select c.id, c.owner_id, c.type_id, t.type_name, c.name, c.description, c.revision,
        c.created_at, c.updated_at
      from sessions s
      join users u on u.id = s.user_id
      join credentials c on c.owner_id = u.id
      join credential_types t on t.id = c.type_id
      where s.token_hash = $1 and s.expires_at > now() and u.disabled_at is null and c.id = $2`,
    values: [createHash('sha256').update(token).digest(), request.params.id]
  })
  return rows[0] ? resource(rows[0]) : reply.code(404).send({})
})

const ACTOR = v7()
const PROJECT = v7()
/** One prepared insert of an audit event, with its own commit: the minimum for an audited action. */
app.post<{ Params: { id: string } }>('/insert/:id', answering({ id: text }), async (request) => {
  const id = v7()
  await pool.query({
    name: 'insert',
    text: `insert into bench_insert (id, action, outcome, actor_type, actor_id, actor_name, target_type,
        target_id, target_name, owner_id, project_id, ip, user_agent, request_id, details)
      values ($1, $2, 'allowed', 'user', $3, $4, 'credential', $5, $6, $3, $7, $8, $9, $10, $11)`,
    values: [
      id,
      'credential.resolved',
      ACTOR,
      'Bench',
      request.params.id,
      'Stripe billing production',
      PROJECT,
      request.ip,
      request.headers['user-agent'] ?? null,
      id,
      '{"environment": "main", "revision": 1, "sealedRevision": 1}'
    ]
  })
  return { id }
})
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
