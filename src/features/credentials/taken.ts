import { violates } from '../../db/errors.ts'
import { ExternalIdTaken, NameTaken, NotFound } from '../../http/problems.ts'

/** Throws what the violated constraint of a credential's means; what else was thrown, as it is. */
export function explainTaken(error: unknown): never {
  if (violates(error, 'credentials_name_key')) throw new NameTaken()
  if (violates(error, 'credentials_external_id_key')) throw new ExternalIdTaken()
  // Deleted while it was being linked to.
  if (violates(error, 'credential_projects_project_id_fkey'))
    throw new NotFound({ detail: 'There is no such project.' })
  throw error
}
