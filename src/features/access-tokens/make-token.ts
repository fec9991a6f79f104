import { newAccessToken } from '../../crypto/access-tokens.ts'
import { hashToken } from '../../crypto/tokens.ts'
import type { Transaction } from '../../db/database.ts'
import { Forbidden, Unauthenticated } from '../../http/problems.ts'
import { uuidv7 } from '../../ids.ts'
import { insertToken, lockAdmin, lockMaker, type TokenHolder } from './repository.ts'

/**
 * Makes a token, and gives it with its row. Its maker is looked at again, and held: one who is being disabled, or
 * losing the role in the project, makes none that outlives it (Unauthenticated, Forbidden).
 */
export async function makeToken(
  trx: Transaction,
  holder: TokenHolder,
  makerId: string,
  { name, scopes, expiresAt }: { name: string; scopes: string[]; expiresAt: Date | null }
) {
  if (!(await lockMaker(trx, makerId))) throw new Unauthenticated()
  if (holder.project_id && !(await lockAdmin(trx, holder.project_id, makerId))) throw new Forbidden()
  const token = newAccessToken(holder.project_id ? 'project' : 'personal')
  const row = await insertToken(trx, holder, {
    id: uuidv7(),
    token_hash: hashToken(token),
    name,
    scopes,
    created_by: makerId,
    expires_at: expiresAt
  })
  return { token, row }
}
