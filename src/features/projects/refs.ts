import type { Database } from '../../db/database.ts'
import { AmbiguousName, type InputError, NotFound, ValidationFailed } from '../../http/problems.ts'
import { isUuid } from '../../http/schemas.ts'
import { foldName } from '../../names.ts'
import { findByName } from './repository.ts'

/** Projects in a request, each by its id or its name. A text that is a UUID is an id. */
export interface ProjectRefs {
  refs: readonly string[]
  /** Returns the pointer to the entry at the index, or to the whole list. */
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
 * Returns the ids, in their order. A name is that of a project whose name the user holds: who adds the user
 * to a project, without asking them, must not receive what they send to a name. Throws AmbiguousName for the
 * name of another project of the user, or of several that they own, and NotFound for a name that none of
 * theirs has. Does not look at ids: whether the user may use the projects has to be checked with the ids.
 */
export async function projectIdsOf(
  db: Database,
  userId: string,
  { refs, pathOf }: ProjectRefs
): Promise<string[]> {
  const keys = refs.filter((ref) => !isUuid(ref)).map(foldName)
  const rows = keys.length > 0 ? await findByName(db, userId, keys) : []
  const byKey = new Map(rows.map((row) => [row.name_key, row]))
  const ids = refs.map((ref, index) => {
    if (isUuid(ref)) return ref.toLowerCase()
    const row = byKey.get(foldName(ref))
    if (!row) throw new NotFound({ detail: 'There is no such project.' })
    if (row.held === null || row.owned > 1) {
      const message =
        row.owned > 1
          ? 'You own several projects with this name: send the id of one.'
          : 'Only a project that you created goes by its name: send the id of this one.'
      throw new AmbiguousName({ errors: [{ path: pathOf(index), code: 'ambiguous-name', message }] })
    }
    return row.held
  })
  if (new Set(ids).size < ids.length) throw new ValidationFailed({ errors: [repeated(pathOf())] })
  return ids
}
