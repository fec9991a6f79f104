import { LRUCache } from 'lru-cache'
import { lookedUp } from '../../../auth/lookup.ts'
import type { Database } from '../../../db/database.ts'
import { guard } from '../../../http/guard.ts'
import { type ListFilter, listCredentials, listMark } from '../list-repository.ts'
import { itemsOf } from './items.ts'

/** What somebody searches for is seldom searched for again: that has no mark. */
const ownMark = lookedUp(listMark, ({ query }) => ((query as { search?: string }).search ? undefined : {}))

/** Anybody who is known, with the mark of their list. */
export const lister = Object.assign(
  guard(async (request) => {
    const { userId } = request.principal
    const [found] = (await ownMark.of(request)) ?? []
    return { userId, mark: found?.mark }
  }),
  { along: ownMark.along }
)

/** Bytes of all kept pages: some 250 of 20 usual credentials. */
const MAX_KEPT = 4 * 1024 * 1024

/** Pages of lists as JSON. The last ones are kept, each with the owner's mark when it was read. */
export class ListTexts {
  readonly #db: Database
  readonly #kept = new LRUCache<string, { mark: string; json: Buffer }>({
    maxSize: MAX_KEPT,
    maxEntrySize: Math.floor(MAX_KEPT / 100)
  })

  constructor(db: Database) {
    this.#db = db
  }

  /** `mark` is the owner's at the moment; undefined for what is not kept. Throws as the database. */
  async of(filter: ListFilter, page: number, pageSize: number, mark: string | undefined): Promise<Buffer> {
    const key = [filter.ownerId, filter.typeId, page, pageSize].join(' ')
    const kept = mark === undefined ? undefined : this.#kept.get(key)
    if (kept && kept.mark === mark) return kept.json
    const found = await listCredentials(this.#db, filter, pageSize, (page - 1) * pageSize)
    const data = await itemsOf(this.#db, found)
    const json = Buffer.from(`{"data":${data},"total":${found.total},"page":${page},"pageSize":${pageSize}}`)
    if (mark !== undefined) this.#kept.set(key, { mark: found.mark, json }, { size: json.length })
    return json
  }
}
