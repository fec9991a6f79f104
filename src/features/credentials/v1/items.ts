import type { Database } from '../../../db/database.ts'
import { Recent } from '../../../recent.ts'
import type { FieldRow } from '../../credential-types/repository.ts'
import type { ItemColumns, Page } from '../list-repository.ts'
import { environmentsOf, fieldsOf, ID_LENGTH } from './resource.ts'

/** Characters of all kept items and what they were made of: a thousand of usual ones and more. */
const MAX_KEPT = 2 * 1024 * 1024
/** Items of a page that is kept. */
const MOST_KEPT = 100

/**
 * Credentials without any value, as JSON arrays of `AppCredentialItem`. Written here by hand: a page has hundreds of small
 * objects, and making them only to have them serialised takes most of a list's time. The last items are kept, each with all
 * that it was made of, and given again only where there is nothing else.
 */
export class ItemTexts {
  readonly #db: Database
  readonly #kept = new Recent<{ madeOf: string; json: string }>(MAX_KEPT)

  constructor(db: Database) {
    this.#db = db
  }

  async of(page: Page): Promise<string> {
    const environments = byCredential(page.environments, ' ')
    const filled = byCredential(page.filled, ' ')
    const usages = byCredential(page.usages, ' ')
    const projects = byCredential(page.projects, '\n', ',')
    const lines = page.items?.split('\n') ?? []
    const items: string[] = []
    const keys = new Map<string, string>()
    for (const columns of lines) {
      const id = columns.slice(0, ID_LENGTH)
      const madeOf =
        `${columns}\t${environments.get(id) ?? ''}\t${filled.get(id) ?? ''}\t` +
        `${usages.get(id) ?? 0}\t${projects.get(id) ?? ''}`
      // One that is long would only drive out all others.
      const kept = lines.length <= MOST_KEPT ? this.#kept.get(id) : undefined
      if (kept?.madeOf === madeOf) {
        items.push(kept.json)
        continue
      }
      const parts = madeOf.split('\t') as Parts
      const json = itemOf(parts, await this.#keysOf(parts, keys))
      items.push(json)
      if (lines.length > MOST_KEPT) continue
      this.#kept.put(id, { madeOf: copyOf(madeOf), json: copyOf(json) }, madeOf.length + json.length)
    }
    return `[${items.join(',')}]`
  }

  /** Most of a page are alike: each sort is written once. */
  async #keysOf(parts: Parts, known: Map<string, string>): Promise<string> {
    const [, , type_id, typeRevision] = parts
    const filled = parts.at(-3)!
    const sort = type_id + typeRevision + filled
    let keys = known.get(sort)
    if (keys === undefined) {
      keys = keysOf(await fieldsOf(this.#db, { type_id, type_revision: Number(typeRevision) }), filled)
      known.set(sort, keys)
    }
    return keys
  }
}

type Parts = [...ItemColumns, environments: string, filled: string, usages: string, projects: string]

/** A text of its own. What is cut out of a text, or made of such, keeps all of that in memory. */
const copyOf = (text: string) => Buffer.from(text).toString()

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
function itemOf(parts: Parts, keys: string): string {
  const [id, ownerId, typeId, , revision, expiresAt, createdAt, updatedAt, typeName, name, description] =
    parts
  const [environments, , usages, projects] = parts.slice(-4) as [string, string, string, string]
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
