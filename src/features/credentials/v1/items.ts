import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Database } from '../../../db/database.ts'
import { ID_LENGTH } from '../../../ids.ts'
import type { FieldRow } from '../../credential-types/repository.ts'
import type { ItemColumns, Page } from '../list-repository.ts'
import { environmentsOf, fieldsOf } from './resource.ts'

/** How many are written before others have their turn: some milliseconds' worth, and more than a page has. */
const AT_A_TIME = 500

/**
 * Credentials without any value, as a JSON array of `AppCredentialItem`. Written here by hand: a page has hundreds of small
 * objects, and making them only to have them serialised takes most of a list's time.
 */
export async function itemsOf(db: Database, page: Page): Promise<string> {
  const environments = byCredential(page.environments, ' ')
  const filled = byCredential(page.filled, ' ')
  const usages = byCredential(page.usages, ' ')
  const projects = byCredential(page.projects, '\n', ',')
  // Most of a page are alike: each sort is written once.
  const known = new Map<string, string>()
  const items: string[] = []
  for (const line of page.items?.split('\n') ?? []) {
    if (items.length > 0 && items.length % AT_A_TIME === 0) await nextTurn()
    const columns = line.split('\t') as ItemColumns
    const [id, , type_id, revision] = columns
    const has = filled.get(id) ?? ''
    const sort = type_id + revision + has
    let keys = known.get(sort)
    if (keys === undefined) {
      keys = keysOf(await fieldsOf(db, { type_id, type_revision: Number(revision) }), has)
      known.set(sort, keys)
    }
    const parts = [environments.get(id) ?? '', projects.get(id) ?? '', usages.get(id) ?? '0', keys] as const
    items.push(itemOf(columns, ...parts))
  }
  return `[${items.join(',')}]`
}

/** The parts behind each id, with `joint` between them. */
function byCredential(text: string | null, separator: string, joint = separator) {
  const found = new Map<string, string>()
  if (!text) return found
  for (const part of text.split(separator)) {
    const id = part.slice(0, ID_LENGTH)
    const before = found.get(id)
    found.set(id, before === undefined ? part.slice(ID_LENGTH) : before + joint + part.slice(ID_LENGTH))
  }
  return found
}

/** A time of Postgres's in UTC, with milliseconds as the contract has it. */
function time(value: string): string {
  if (value === '') return 'null'
  const fraction = value.slice(20, 23).padEnd(3, '0')
  return `"${value.slice(0, 10)}T${value.slice(11, 19)}.${fraction}Z"`
}

/** Ids, times and numbers need no escapes; names and projects are JSON as Postgres made it. */
function itemOf(
  columns: ItemColumns,
  environments: string,
  projects: string,
  usages: string,
  keys: string
): string {
  const [id, ownerId, typeId, , revision, expiresAt, createdAt, updatedAt, typeName, name, description] =
    columns
  return (
    `{"id":"${id}","credentialName":${name},"credentialTypeId":"${typeId}",` +
    `"credentialType":{"id":"${typeId}","typeName":${typeName}},` +
    `"description":${description},"ownerId":"${ownerId}",` +
    `"environments":${JSON.stringify(environmentsOf(environments))},` +
    `"projects":[${projects}],"usageCount":${usages},` +
    `"revision":${revision},"expiresAt":${time(expiresAt)},` +
    `"createdAt":${time(createdAt)},"updatedAt":${time(updatedAt)},"keys":${keys}}`
  )
}

function keysOf(fields: readonly FieldRow[], filled: string): string {
  const keys = fields.map(({ id: fieldId, field_name: fieldName, secret }) => ({
    fieldId,
    fieldName,
    secret,
    hasValue: filled.includes(fieldId)
  }))
  return JSON.stringify(keys)
}
