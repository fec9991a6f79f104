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

/** Throws ValidationFailed if an id or a name occurs twice. */
export function requireDistinct({ refs, pathOf }: ProjectRefs): void {
  if (new Set(refs.map(keyOf)).size < refs.length)
    throw new ValidationFailed({ errors: [repeated(pathOf())] })
}

function repeated(path: string): InputError {
  return { path, code: 'repeated', message: 'The entries must be unique.' }
}

/**
 * Returns the ids of the projects, in order. A name stands only for a project that the user created:
 * otherwise another user could add them to a project of that name and receive what they send. Throws
 * AmbiguousName for the name of another project of which the user is a member, or of several that they own,
 * and NotFound for any other name. Callers must check by id whether the user may use the projects.
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
          ? 'You own several projects with this name. Send the id of one of them.'
          : 'You did not create the project with this name. Send its id.'
      throw new AmbiguousName({ errors: [{ path: pathOf(index), code: 'ambiguous-name', message }] })
    }
    return row.held
  })
  if (new Set(ids).size < ids.length) throw new ValidationFailed({ errors: [repeated(pathOf())] })
  return ids
}
