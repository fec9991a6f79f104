import { hashPassword } from '../src/crypto/passwords.ts'
import { createDatabase } from '../src/db/database.ts'
import { migrate } from '../src/db/migrate.ts'
import { type BuiltInType, catalogue } from '../src/features/credential-types/catalogue.ts'
import { installCatalogue } from '../src/features/credential-types/install.ts'
import { sealAll } from '../src/features/credentials/sealing.ts'
import { openKeyring } from '../src/features/keys/open-keyring.ts'
import { ensureAdministrator } from '../src/features/users/service.ts'
import { uuidv7 } from '../src/ids.ts'
import { parseRootKeys } from '../src/root-keys/list.ts'
import { newRootKey } from '../src/root-keys/local.ts'
import type { Postgres } from './postgres.ts'

const PASSWORD = 'correct horse battery staple'
const BATCH = 5_000
/** How many projects' worth of credentials are linked: every fifth one, twenty to a project. */
const LINKED_EVERY = 5
export const PROJECT_SIZE = 20
/** In as many names of each user, however many there are, and in no others. */
export const SEARCHED = { term: 'northwind', matches: 20 }
/** Signing in at once as one user is what the limiter is there to refuse. */
const SIGNERS = 64

const SERVICES = ['Stripe', 'GitHub', 'Salesforce', 'Mailgun', 'DHIS2', 'Twilio', 'OpenAI', 'Grafana', 'Jira']
const PURPOSES = ['billing', 'nightly report', 'sync', 'webhook', 'backup', 'import', 'alerts']
const STAGES = ['production', 'staging', 'development', 'review']

export interface Person {
  id: string
  email: string
  password: string
}

/** A user with many credentials. */
export interface Owner extends Person {
  /** Of a thousand of them, spread evenly. */
  ids: string[]
  /** A project of PROJECT_SIZE credentials, and those. */
  project: { id: string; credentialIds: string[] }
}

export interface Seeded {
  rootKeys: string
  small: Owner
  large: Owner
  /** Without any credential, for those that are created. */
  writer: Person
  signers: Person[]
}

/**
 * Makes the database what the service finds after years of use: tables, keys, built-in types, an administrator, and
 * two users with `small` and `large` credentials. Rows go in by the thousand; their values are sealed like any other.
 */
export async function seed(
  postgres: Postgres,
  sizes: { small: number; large: number },
  signal: AbortSignal
): Promise<Seeded> {
  const rootKeys = newRootKey('bench')
  const db = createDatabase({ connectionString: postgres.url })
  try {
    await migrate(db)
    const keyring = await openKeyring(db, parseRootKeys(rootKeys))
    await installCatalogue(db)
    await ensureAdministrator(db, { email: 'admin@bench.example', password: PASSWORD })
    const passwordHash = await hashPassword(PASSWORD)
    const newUser = async (name: string): Promise<Person> => {
      const id = uuidv7()
      const email = `${name}@bench.example`
      await postgres.client.query(
        `insert into users (id, email, name, password_hash, role) values ($1, $2, $3, $4, 'user')`,
        [id, email, name, passwordHash]
      )
      return { id, email, password: PASSWORD }
    }
    const newOwner = async (name: string, count: number): Promise<Owner> => {
      const person = await newUser(name)
      const ids = Array.from({ length: count }, uuidv7)
      let inserted = Promise.resolve()
      for (let from = 0; from < count; from += BATCH) {
        signal.throwIfAborted()
        const rows = ids.slice(from, from + BATCH).map((id, i) => rowOf(id, from + i, count))
        const sealed = rows.map(({ id, type }) => ({
          id,
          keys: sealAll(keyring, id, 1, new Map([['main', valuesOf(type)]]))
        }))
        // Postgres takes one batch while the next is being sealed.
        await inserted
        inserted = insert(postgres, person.id, rows, sealed)
        // Whoever awaits it hears of its failure; nobody does once the run is interrupted.
        inserted.catch(() => {})
      }
      await inserted
      const step = count / Math.min(count, 1_000)
      return {
        ...person,
        ids: Array.from({ length: Math.min(count, 1_000) }, (_, i) => ids[Math.floor(i * step)]!),
        project: await linkProjects(postgres, person.id, ids)
      }
    }
    const small = await newOwner('small', sizes.small)
    const large = await newOwner('large', sizes.large)
    const writer = await newUser('writer')
    const signers: Person[] = []
    for (let i = 0; i < SIGNERS; i++) signers.push(await newUser(`signer-${i}`))
    // A copy of the events' table, without the triggers that its reference should not pay for.
    await postgres.client.query('create table bench_insert (like audit_events including all)')
    await postgres.client.query('vacuum analyze')
    return { rootKeys, small, large, writer, signers }
  } finally {
    await db.destroy()
  }
}

// As most are: one secret, and one or two values that are none.
const TYPES = ['basic-auth', 'api-key', 'github-token', 'bearer-token'].map(typeNamed)

/** The built-in type of that name. */
export function typeNamed(name: string): BuiltInType {
  const type = catalogue.find(({ typeName }) => typeName === name)
  if (!type) throw new Error(`there is no built-in type ${name}`)
  return type
}

/** A value for each field, by its id. */
export function valuesOf(type: BuiltInType): Map<string, unknown> {
  return new Map(
    type.fields.map(({ id, fieldType, secret }) => [
      id,
      fieldType === 'url'
        ? 'https://api.example.org/v1'
        : secret
          ? `sk_live_${uuidv7().replaceAll('-', '')}`
          : 'nightly-report'
    ])
  )
}

interface Row {
  id: string
  type: BuiltInType
  name: string
  ageSeconds: number
}

function rowOf(id: string, index: number, count: number): Row {
  const of = (words: readonly string[], every: number) => words[Math.floor(index / every) % words.length]!
  const found = index % (count / SEARCHED.matches) === 0
  const service = found ? 'Northwind' : of(SERVICES, 1)
  const name = `${service} ${of(PURPOSES, SERVICES.length)} ${of(STAGES, SERVICES.length * PURPOSES.length)} ${index}`
  return { id, type: TYPES[index % TYPES.length]!, name, ageSeconds: count - index }
}

async function insert(
  { client }: Postgres,
  ownerId: string,
  rows: readonly Row[],
  sealed: readonly { id: string; keys: ReturnType<typeof sealAll> }[]
): Promise<void> {
  const ids = rows.map((row) => row.id)
  await client.query('begin')
  await client.query(
    `insert into credentials (id, owner_id, type_id, name, description, created_at, updated_at)
     select id, $1, type_id, name, 'For the nightly report', at, at
     from unnest($2::uuid[], $3::uuid[], $4::text[], $5::int[]) r(id, type_id, name, age),
       lateral (select now() - make_interval(secs => age) as at) t`,
    [
      ownerId,
      ids,
      rows.map((row) => row.type.id),
      rows.map((row) => row.name),
      rows.map((row) => row.ageSeconds)
    ]
  )
  await client.query(
    `insert into credential_environments (credential_id, name) select unnest($1::uuid[]), 'main'`,
    [ids]
  )
  await client.query(
    `insert into credential_keys (credential_id, environment, field_id, value, data_key_no)
     select credential_id, 'main', field_id, value, $4 from unnest($1::uuid[], $2::uuid[], $3::bytea[])
       k(credential_id, field_id, value)`,
    [
      sealed.flatMap(({ id, keys }) => keys.fieldIds.map(() => id)),
      sealed.flatMap(({ keys }) => keys.fieldIds),
      sealed.flatMap(({ keys }) => keys.values),
      sealed[0]!.keys.dataKeyNo
    ]
  )
  await client.query('commit')
}

async function linkProjects({ client }: Postgres, ownerId: string, ids: readonly string[]) {
  const linked = ids.filter((_, index) => index % LINKED_EVERY === 0)
  const projects = Array.from({ length: Math.ceil(linked.length / PROJECT_SIZE) }, uuidv7)
  await client.query(
    `insert into projects (id, name) select id, 'Project ' || n from unnest($1::uuid[]) with ordinality p(id, n)`,
    [projects]
  )
  await client.query(
    `insert into project_members (project_id, user_id, role) select unnest($1::uuid[]), $2, 'owner'`,
    [projects, ownerId]
  )
  await client.query(
    `insert into credential_projects (id, credential_id, project_id, assigned_by)
     select id, credential_id, project_id, $4 from unnest($1::uuid[], $2::uuid[], $3::uuid[])
       l(id, credential_id, project_id)`,
    [
      linked.map(uuidv7),
      linked,
      linked.map((_, index) => projects[Math.floor(index / PROJECT_SIZE)]),
      ownerId
    ]
  )
  return { id: projects[0]!, credentialIds: linked.slice(0, PROJECT_SIZE) }
}
