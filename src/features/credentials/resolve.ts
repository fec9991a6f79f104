import { type Expression, type Kysely, sql } from 'kysely'
import { lookup, type Viewer } from '../../auth/lookup.ts'
import { DecryptionFailed } from '../../crypto/aead.ts'
import { UnknownDataKey } from '../../crypto/keyring.ts'
import { type Params, prepared } from '../../db/prepared.ts'
import type { Tables } from '../../db/tables.ts'
import { AnswerTooLarge } from '../../http/problems.ts'
import { ID_LENGTH } from '../../ids.ts'
import type { Services } from '../../services.ts'
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

type ById = { ids: string[]; environment: string }
type ByIdOrName = ById & { projectId: string; names: string[] }

/** What is linked to the project, with the values of one environment. */
const linked = (db: Kysely<Tables>, projectId: Viewer, environment: Expression<string>) =>
  db
    .selectFrom('credential_projects as l')
    .innerJoin('credentials as c', 'c.id', 'l.credential_id')
    .innerJoin('credential_types as t', 't.id', 'c.type_id')
    .where('l.project_id', '=', projectId)
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
      sql<boolean>`coalesce(c.expires_at <= now(), false)`.as('expired'),
      sql<boolean>`exists (select from credential_environments e
        where e.credential_id = c.id and e.name = ${environment})`.as('configured'),
      // In the fields' order, with spaces between: id, name, a colon, and what is sealed (base64).
      sql<string>`array_to_string(array(
        select f.id || f.field_name || ':' || encode(k.value, 'base64')
        from credential_keys k
        join credential_type_fields f on f.id = k.field_id
        where k.credential_id = c.id and k.environment = ${environment}
        order by f.position), ' ')`.as('values')
    ])

/**
 * By ids alone, which is how machines ask that ask often: the links are found without a look at the other credentials of
 * the project.
 */
export const linkedById = lookup(
  (db, p: Params<ById>, { projectId }) =>
    linked(db, projectId, p.environment)
      .where(sql<boolean>`l.credential_id = any(${p.ids}::uuid[])`)
      .select(sql<string[]>`'{}'::text[]`.as('asked_as')),
  { ids: 'uuid[]', environment: 'text' }
)

// All credentials of the project are looked at: that takes longer the more there are, and is nobody else's to wait for.
const linkedByIdOrName = prepared(
  (db, p: Params<ByIdOrName>) =>
    linked(db, p.projectId, p.environment)
      .where(
        sql<boolean>`(c.id = any(${p.ids}::uuid[]) or lower(c.name) in (
          select lower(asked) from unnest(${p.names}::text[]) asked))`
      )
      .select(
        sql<string[]>`array(select asked from unnest(${p.names}::text[]) asked
          where lower(asked) = lower(c.name))`.as('asked_as')
      ),
  { read: 'long' }
)

/** What `linkedById` takes, when no name is among those asked for. */
export function idsOf(asked: readonly { id?: string; name?: string }[]): string[] | undefined {
  const ids = asked.flatMap(({ id, name }) => (id !== undefined && name === undefined ? [id] : []))
  return ids.length === asked.length ? ids : undefined
}

type Row = Awaited<ReturnType<typeof linkedByIdOrName>>[number]

/**
 * What a project's machine gets, in the order asked: the values of each credential that is linked to the project, or why
 * not. One that fails does not spoil the others; `handedOut` is for the audit log. `foundById` is what `linkedById` gave,
 * when only ids are asked for.
 */
export async function resolveCredentials(
  { db, keyring }: Services,
  projectId: string,
  asked: readonly Asked[],
  environment: string,
  foundById: readonly Row[] | undefined
): Promise<{ results: Result[]; handedOut: Row[]; undecryptable: Row[] }> {
  const ids = asked.flatMap((one) => ('id' in one ? [one.id.toLowerCase()] : []))
  const names = asked.flatMap((one) => ('name' in one ? [one.name] : []))
  const rows = foundById ?? (await linkedByIdOrName(db, { projectId, ids, names, environment }))
  const bytes = rows.reduce((sum, row) => sum + row.values.length, 0)
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
      const values = partsOf(row.values).map(({ fieldId, fieldName, sealed }) => [
        fieldName,
        open(fieldId, sealed)
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

function partsOf(values: string): { fieldId: string; fieldName: string; sealed: Buffer }[] {
  if (values === '') return []
  return values.split(' ').map((value) => {
    const colon = value.indexOf(':')
    return {
      fieldId: value.slice(0, ID_LENGTH),
      fieldName: value.slice(ID_LENGTH, colon),
      sealed: Buffer.from(value.slice(colon + 1), 'base64')
    }
  })
}
