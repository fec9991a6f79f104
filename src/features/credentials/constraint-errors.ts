import { violates } from '../../db/errors.ts'
import { ExternalIdTaken, NameTaken, NotFound } from '../../http/problems.ts'

/** True if the owner has another credential of the same name or external id. */
export function isTaken(error: unknown): boolean {
  return violates(error, 'credentials_name_key') || violates(error, 'credentials_external_id_key')
}

/** Throws the problem for a violated constraint of credentials, and any other error unchanged. */
export function mapConstraintError(error: unknown): never {
  if (violates(error, 'credentials_name_key')) throw new NameTaken()
  if (violates(error, 'credentials_external_id_key')) throw new ExternalIdTaken()
  // The project was deleted in the meantime.
  if (violates(error, 'credential_projects_project_id_fkey'))
    throw new NotFound({ detail: 'There is no such project.' })
  throw error
}
