import { sql } from 'kysely'
import { DecryptionFailed } from '../../crypto/aead.ts'
import { UnknownDataKey } from '../../crypto/keyring.ts'
import { type Params, prepared } from '../../db/statement.ts'
import { AnswerTooLarge } from '../../errors.ts'
import type { Services } from '../../plugins/services.ts'
import { opener } from './sealing.ts'

/** Of all that is opened for one answer, as it is stored. */
const MAX_BYTES = 8 * 1024 * 1024

/** What a machine asks for: one by its id, or by its name without regard to case. */
export type Asked = { id: string } | { name: string }

export interface Resolved {
  id: string
  credentialName: string
  typeName: string
  environment: string
  revision: number
  expiresAt: string | null
  values: Record<string, unknown>
}

export type RefusalCode =
  | 'not-found'
  | 'ambiguous-name'
  | 'environment-not-configured'
  | 'expired'
  | 'decryption-failed'

const DETAILS: Record<RefusalCode, string> = {
  'not-found': 'There is no such credential in this project.',
  'ambiguous-name': 'Several credentials of this project have that name: ask by id.',
  'environment-not-configured': 'The credential has no values for this environment.',
  expired: 'The credential has expired.',
  'decryption-failed': 'A stored value does not open; it was changed outside of the service.'
}

export type Result = Resolved | (Asked & { error: { code: RefusalCode; detail: string } })

type AskedParams = Params<{ projectId: string; ids: string[]; names: string[]; environment: string }>

const PARAMS = { projectId: 'uuid', ids: 'uuid[]', names: 'text[]', environment: 'text' }

// All that are asked for in one statement, however many. By ids alone, which is how machines ask that ask often, the
// links are found without a look at the other credentials of the project. By names, all of those are looked at: that takes
// longer the more there are, and is nobody else's to wait for.
const findAll = (byName: boolean) =>
  prepared(
    (db, p: AskedParams) =>
      db
        .selectFrom('credential_projects as l')
        .innerJoin('credentials as c', 'c.id', 'l.credential_id')
        .innerJoin('credential_types as t', 't.id', 'c.type_id')
        .where('l.project_id', '=', p.projectId)
        .$if(!byName, (query) => query.where(sql<boolean>`l.credential_id = any(${p.ids}::uuid[])`))
        .$if(byName, (query) =>
          query.where(sql<boolean>`(c.id = any(${p.ids}::uuid[]) or lower(c.name) in (
          select lower(asked) from unnest(${p.names}::text[]) asked))`)
        )
        .select([
          'c.id',
          'c.owner_id',
          'c.name',
          't.type_name',
          'c.revision',
          'c.sealed_revision',
          'c.expires_at'
        ])
        .select([
          sql<
            string[]
          >`array(select asked from unnest(${p.names}::text[]) asked where lower(asked) = lower(c.name))`.as(
            'asked_as'
          ),
          sql<boolean>`coalesce(c.expires_at <= now(), false)`.as('expired'),
          sql<boolean>`exists (select from credential_environments e
          where e.credential_id = c.id and e.name = ${p.environment})`.as('configured'),
          sql<
            { fieldId: string; fieldName: string; sealed: string }[]
          >`(select coalesce(json_agg(json_build_object(
            'fieldId', f.id, 'fieldName', f.field_name, 'sealed', encode(k.value, 'base64')) order by f.position), '[]')
          from credential_keys k
          join credential_type_fields f on f.id = k.field_id
          where k.credential_id = c.id and k.environment = ${p.environment})`.as('keys')
        ]),
    byName ? { read: 'long' } : { together: PARAMS }
  )

const findById = findAll(false)
const findByIdOrName = findAll(true)

type Row = Awaited<ReturnType<typeof findById>>[number]

/**
 * What a project's machine gets, in the order asked: the values of each credential that is linked to the project, or why
 * not. One that fails does not spoil the others. `rows` are those handed out, for the audit log.
 */
export async function resolveCredentials(
  { db, keyring }: Services,
  projectId: string,
  asked: readonly Asked[],
  environment: string
): Promise<{ results: Result[]; handedOut: Row[]; undecryptable: Row[] }> {
  const ids = asked.flatMap((one) => ('id' in one ? [one.id.toLowerCase()] : []))
  const names = asked.flatMap((one) => ('name' in one ? [one.name] : []))
  const find = names.length > 0 ? findByIdOrName : findById
  const rows = await find(db, { projectId, ids, names, environment })
  const bytes = rows.reduce(
    (sum, row) => sum + row.keys.reduce((size, key) => size + key.sealed.length, 0),
    0
  )
  if (bytes > MAX_BYTES) throw new AnswerTooLarge()
  const byId = new Map(rows.map((row) => [row.id, row]))
  // Which names mean the same is for the database to say.
  const byName = Map.groupBy(
    rows.flatMap((row) => row.asked_as.map((name) => ({ name, row }))),
    ({ name }) => name
  )
  const handedOut = new Map<string, Row>()
  const undecryptable = new Map<string, Row>()
  const results = asked.map((one): Result => {
    const found =
      'id' in one
        ? [byId.get(one.id.toLowerCase()) ?? []].flat()
        : [...new Set(byName.get(one.name)?.map(({ row }) => row))]
    const [row] = found
    const refuse = (code: RefusalCode): Result => ({ ...one, error: { code, detail: DETAILS[code] } })
    if (!row) return refuse('not-found')
    if (found.length > 1) return refuse('ambiguous-name')
    if (row.expired) return refuse('expired')
    if (!row.configured) return refuse('environment-not-configured')
    const open = opener(keyring, { credentialId: row.id, environment, sealedRevision: row.sealed_revision })
    try {
      const values = row.keys.map(({ fieldId, fieldName, sealed }) => [
        fieldName,
        open(fieldId, Buffer.from(sealed, 'base64'))
      ])
      handedOut.set(row.id, row)
      return {
        id: row.id,
        credentialName: row.name,
        typeName: row.type_name,
        environment,
        revision: row.revision,
        expiresAt: row.expires_at?.toISOString() ?? null,
        values: Object.fromEntries(values)
      }
    } catch (error) {
      // A key that is not known here yet says nothing of the value: the request is done again with it.
      if (!(error instanceof DecryptionFailed) || error instanceof UnknownDataKey) throw error
      undecryptable.set(row.id, row)
      return refuse('decryption-failed')
    }
  })
  return { results, handedOut: [...handedOut.values()], undecryptable: [...undecryptable.values()] }
}
