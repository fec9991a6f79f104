import { inTransaction } from '../../db/database.ts'
import {
  EnvironmentNotConfigured,
  MainEnvironment,
  NotFound,
  TooManyEnvironments
} from '../../http/problems.ts'
import type { Services } from '../../services.ts'
import { applyKeys, defaultsOf, type KeyInput } from './input.ts'
import { MAX_ENVIRONMENTS } from './limits.ts'
import * as repository from './repository.ts'
import { changeValues } from './reseal.ts'
import { requireRevision } from './revision.ts'

/**
 * Puts values of one environment of a credential of the owner's, which is made if it is not there; a key that is not
 * sent keeps its value. Gives the credential as it is then. Throws ValidationFailed, TooManyEnvironments, RevisionChanged, NotFound.
 */
export async function putEnvironment(
  { db, keyring }: Services,
  ownerId: string,
  id: string,
  revisions: number[] | null,
  environment: string,
  keys: readonly KeyInput[]
): Promise<repository.CredentialRow> {
  return inTransaction(db, async (trx) => {
    const locked = await repository.lockCredential(trx, ownerId, id)
    if (!locked) throw new NotFound()
    requireRevision(revisions, locked.revision)
    if ((await repository.ensureEnvironment(trx, id, environment)) > MAX_ENVIRONMENTS)
      throw new TooManyEnvironments()
    const sealed_revision = await changeValues(trx, keyring, locked, (fields, values) => {
      values.set(environment, applyKeys(fields, values.get(environment) ?? defaultsOf(fields), keys))
    })
    await repository.updateCredential(trx, ownerId, id, { sealed_revision })
    return (await repository.findCredential(trx, ownerId, id))!
  })
}

/**
 * Takes an environment with its values from a credential of the owner's. Throws MainEnvironment for the one that stays,
 * EnvironmentNotConfigured for one that is not there, RevisionChanged, NotFound.
 */
export async function removeEnvironment(
  { db, keyring }: Services,
  ownerId: string,
  id: string,
  revisions: number[] | null,
  environment: string
): Promise<void> {
  if (environment === 'main') throw new MainEnvironment()
  await inTransaction(db, async (trx) => {
    const locked = await repository.lockCredential(trx, ownerId, id)
    if (!locked) throw new NotFound()
    requireRevision(revisions, locked.revision)
    if (!(await repository.deleteEnvironment(trx, id, environment))) throw new EnvironmentNotConfigured()
    // The others are sealed anew, so that values of the environment that is gone do not open when put back.
    const sealed_revision = await changeValues(trx, keyring, locked, () => {})
    await repository.updateCredential(trx, ownerId, id, { sealed_revision })
  })
}
