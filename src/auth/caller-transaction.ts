import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Database, inTransaction, type Transaction } from '../db/database.ts'
import { Forbidden, Unauthenticated } from '../http/problems.ts'
import { lockProjectToken, lockSession, lockUserToken, type UserLock } from './caller-repository.ts'
import { callerOf } from './principal.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Runs `work` in a transaction that starts by locking the caller's session or token, and their user,
     * until it ends, so that access cannot end in between. All changes by callers use it. Throws
     * Unauthenticated if the session or token has ended, and Forbidden if the user is no longer an
     * administrator.
     */
    inCallerTransaction<T>(
      request: FastifyRequest,
      work: (trx: Transaction) => Promise<T>,
      options?: CallerTransactionOptions
    ): Promise<T>
  }
}

export interface CallerTransactionOptions {
  /** If this is a transaction, `work` runs in it: the caller has been locked at its start. */
  db?: Database
  /** `update` if the work changes the caller's user or ends one of their sessions. */
  userLock?: UserLock
  /** Takes locks that must be taken before those of the caller, so that transactions cannot deadlock. */
  lockFirst?: (trx: Transaction) => Promise<void>
}

export function inCallerTransaction<T>(
  this: FastifyInstance,
  request: FastifyRequest,
  work: (trx: Transaction) => Promise<T>,
  { db = this.services.db, userLock = 'share', lockFirst }: CallerTransactionOptions = {}
): Promise<T> {
  if (db.isTransaction) return work(db as Transaction)
  return inTransaction(db, async (trx) => {
    await lockFirst?.(trx)
    await lockCaller(trx, request, userLock)
    return work(trx)
  })
}

async function lockCaller(trx: Transaction, request: FastifyRequest, userLock: UserLock): Promise<void> {
  const caller = callerOf(request)
  if (caller.type === 'project-token') {
    if (!(await lockProjectToken(trx, caller.tokenId))) throw new Unauthenticated()
    return
  }
  const user =
    caller.type === 'session'
      ? await lockSession(trx, caller.sessionId, userLock)
      : await lockUserToken(trx, caller.tokenId, userLock)
  if (!user) throw new Unauthenticated()
  if (caller.role === 'admin' && user.role !== 'admin') throw new Forbidden()
}
