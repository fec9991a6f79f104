import { sql } from 'kysely'
import { atLeast } from '../../auth/roles.ts'
import { type Database, inTransaction } from '../../db/database.ts'
import { NewOwnerMayNotLink, NotFound, ValidationFailed } from '../../http/problems.ts'
import { lockCredential, setOwner } from './repository.ts'
import { requireRevision } from './revision.ts'
import { explainTaken } from './taken.ts'

/**
 * Gives a credential of the owner's to the user of that e-mail, who has to be an editor or above in every project that
 * it is linked to, and gives the new owner's id. Throws ValidationFailed for nobody's e-mail or one's own,
 * NewOwnerMayNotLink with the projects, NameTaken, RevisionChanged, NotFound.
 */
export async function transferCredential(
  db: Database,
  ownerId: string,
  id: string,
  revisions: number[] | null,
  email: string
): Promise<string> {
  try {
    return await inTransaction(db, async (trx) => {
      const locked = await lockCredential(trx, ownerId, id)
      if (!locked) throw new NotFound()
      requireRevision(revisions, locked.revision)
      const user = await trx
        .selectFrom('users')
        .select('id')
        .where(sql`lower(email)`, '=', sql`lower(${email})`)
        .where('disabled_at', 'is', null)
        .forShare()
        .executeTakeFirst()
      if (!user || user.id === ownerId) {
        const message = user ? 'It is yours already.' : 'Nobody who may sign in has that e-mail address.'
        const code = user ? 'own-email' : 'unknown-user'
        throw new ValidationFailed({ errors: [{ path: '/body/email', code, message }] })
      }
      // Whoever takes the new owner out of one of them, waits until it is theirs, or they are out.
      await trx
        .selectFrom('projects')
        .select('id')
        .where('id', 'in', (eb) =>
          eb.selectFrom('credential_projects').select('project_id').where('credential_id', '=', id)
        )
        .orderBy('id')
        .forKeyShare()
        .execute()
      const projects = await trx
        .selectFrom('credential_projects as l')
        .leftJoin('project_members as m', (join) =>
          join.onRef('m.project_id', '=', 'l.project_id').on('m.user_id', '=', user.id)
        )
        .where('l.credential_id', '=', id)
        .select(['l.project_id', 'm.role'])
        .orderBy('l.project_id')
        .execute()
      const refused = projects.filter(({ role }) => !role || !atLeast(role, 'editor'))
      if (refused.length > 0) throw new NewOwnerMayNotLink({ projects: refused.map((row) => row.project_id) })
      await setOwner(trx, id, user.id)
      return user.id
    })
  } catch (error) {
    return explainTaken(error)
  }
}
