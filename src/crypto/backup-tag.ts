import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'
import { deriveKey } from './derive.ts'

/** A MAC that proves that who wrote a backup had a data key, and so a root key. */
export function backupTag(dataKey: Buffer, digest: Buffer): Buffer {
  const key = deriveKey(createSecretKey(dataKey), 'latchkey/backup/v1', [])
  return createHmac('sha256', key).update(digest).digest()
}

export function isBackupTag(dataKey: Buffer, digest: Buffer, tag: Buffer): boolean {
  return timingSafeEqual(backupTag(dataKey, digest), tag)
}
