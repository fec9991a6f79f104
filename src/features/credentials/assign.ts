import { type Database, inTransaction } from '../../db/database.ts'
import { NotFound } from '../../errors.ts'
import { listLinks, replaceLinks } from './links.ts'
import { lockCredential, updateCredential } from './repository.ts'
import { requireRevision } from './revision.ts'

/** Makes these the projects of a credential of the owner's, as one, and gives its links. Throws as `replaceLinks`. */
export async function assignProjects(
  db: Database,
  ownerId: string,
  id: string,
  revisions: number[] | null,
  projectIds: readonly string[]
) {
  return inTransaction(db, async (trx) => {
    const locked = await lockCredential(trx, ownerId, id)
    if (!locked) throw new NotFound()
    requireRevision(revisions, locked.revision)
    const changed = await replaceLinks(trx, ownerId, id, projectIds)
    if (changed) await updateCredential(trx, ownerId, id, {})
    return { links: await listLinks(trx, id), revision: locked.revision + (changed ? 1 : 0) }
  })
}
