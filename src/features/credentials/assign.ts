import { type Database, inTransaction } from '../../db/database.ts'
import { NotFound } from '../../http/problems.ts'
import { listLinks, replaceLinks } from './links.ts'
import { lockCredential, updateCredential } from './repository.ts'
import { requireRevision } from './revision.ts'
import { explainTaken } from './taken.ts'

/** Makes these the projects of a credential of the owner's, as one, and gives its links and what changed. Throws as `replaceLinks`. */
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
    const changes = await replaceLinks(trx, ownerId, id, projectIds)
    const changed = changes.added.length + changes.removed.length > 0
    if (changed) await updateCredential(trx, ownerId, id, {})
    return { links: await listLinks(trx, id), changes, revision: locked.revision + (changed ? 1 : 0) }
  }).catch(explainTaken)
}
