import type { Database } from '../../db/database.ts'
import { AmbiguousName, type InputError, NotFound, ValidationFailed } from '../../http/problems.ts'
import { isUuid } from '../../http/schemas.ts'
import { foldName } from '../../names.ts'
import { countByName } from './repository.ts'

/** Projects in a request, each by its id or its name. A text that is a UUID is an id. */
export interface ProjectRefs {
  refs: readonly string[]
  /** Where the entry at this index is; without one, the whole list. */
  pathOf(index?: number): string
}

const keyOf = (ref: string) => (isUuid(ref) ? ref.toLowerCase() : foldName(ref))

/** Throws ValidationFailed if an id or a name is there twice. */
export function requireDistinct({ refs, pathOf }: ProjectRefs): void {
  if (new Set(refs.map(keyOf)).size < refs.length)
    throw new ValidationFailed({ errors: [repeated(pathOf())] })
}

function repeated(path: string): InputError {
  return { path, code: 'repeated', message: 'An entry is there twice.' }
}

/**
 * Returns the ids, in their order. A name is that of a project of which the user is a member, in any role:
 * whoever adds the user to another project of the name gets AmbiguousName thrown, and not what was meant for
 * the first one. Throws NotFound for a name that none of these has. Does not look at ids: whether the user may
 * use the projects has to be checked with the ids.
 */
export async function projectIdsOf(
  db: Database,
  userId: string,
  { refs, pathOf }: ProjectRefs
): Promise<string[]> {
  const keys = refs.filter((ref) => !isUuid(ref)).map(foldName)
  const rows = keys.length > 0 ? await countByName(db, userId, keys) : []
  const byKey = new Map(rows.map((row) => [row.name_key, row]))
  const ids = refs.map((ref, index) => {
    if (isUuid(ref)) return ref.toLowerCase()
    const row = byKey.get(foldName(ref))
    if (!row) throw new NotFound({ detail: 'There is no such project.' })
    if (row.projects > 1) {
      const message = 'Several of your projects have this name: send the id of one.'
      throw new AmbiguousName({ errors: [{ path: pathOf(index), code: 'ambiguous-name', message }] })
    }
    return row.id
  })
  if (new Set(ids).size < ids.length) throw new ValidationFailed({ errors: [repeated(pathOf())] })
  return ids
}
