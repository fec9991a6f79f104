import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { archiveEvents } from '../audit/archive.ts'
import { listHeads } from '../audit/archive-repository.ts'
import type { ChainHead } from '../audit/chain-repository.ts'
import { verifyHeads } from '../audit/head.ts'
import { type Config, ConfigError } from '../config.ts'
import type { SigningKey } from '../crypto/signing.ts'
import type { Database } from '../db/database.ts'
import { openKeyring } from '../features/keys/open-keyring.ts'
import { openSigningKey } from '../features/keys/signing-key.ts'
import { print } from '../terminal.ts'
import { type Command, rootKeysOf, withDatabase } from './command.ts'

export const auditArchiveCommands: Record<string, Command> = {
  'audit archive': {
    description: 'export events older than LATCHKEY_AUDIT_KEEP_DAYS to a directory, and delete them',
    details: `Exports whole partitions of the audit log to signed files, and then removes them from the
database. Prints the name of each file with its head. See [the audit log](../operations/audit-log.md).`,
    example: 'latchkey audit archive /var/lib/latchkey-archive',
    argument: '<directory>',
    run: (config, { argument }) =>
      withDatabase(config, (db) => archiveTo(config, db, resolve(argument)), {
        asOwner: true,
        query_timeout: 0,
        statement_timeout: '0'
      })
  },
  'audit public-key': {
    description: 'print the public key that verifies exported parts of the audit log',
    details: 'See [the audit log](../operations/audit-log.md).',
    example: 'latchkey audit public-key > audit-key.pem',
    run: (config) =>
      withDatabase(config, async (db) => print((await signingKeyOf(config, db)).publicKey.trimEnd()), {
        asOwner: true
      })
  }
}

async function archiveTo(config: Config, db: Database, directory: string): Promise<void> {
  const { auditKeepDays: keepDays } = config
  if (keepDays === undefined)
    throw new ConfigError('LATCHKEY_AUDIT_KEEP_DAYS', 'is not set, so all events stay in the database')
  const found = await stat(directory).catch(() => undefined)
  if (!found?.isDirectory()) throw new Error(`${directory} is not a directory`)
  const signer = await signingKeyOf(config, db)
  let parts = 0
  await archiveEvents(db, {
    directory,
    keepDays,
    signer,
    onExported: ({ position, hash }, file) => {
      parts++
      print(`${file} Head: ${position} ${hash.toString('hex')}`)
    }
  })
  if (parts === 0) print(`Nothing to export: no partition has only events older than ${keepDays} days.`)
}

/**
 * Returns the head from which to verify the chain, or undefined for the whole chain: `from`, or the last
 * signed head if `from` is a signed head or undefined. Throws if this installation did not sign a head, or if
 * events after `from` are no longer in the database.
 */
export async function findVerifiableHead(
  config: Config,
  db: Database,
  from: ChainHead | undefined
): Promise<ChainHead | undefined> {
  const heads = await listHeads(db)
  if (heads.length === 0) return from
  const signer = await signingKeyOf(config, db)
  const last = verifyHeads(heads, signer)
  if (!from || heads.some(({ position, hash }) => position === from.position && hash.equals(from.hash)))
    return last
  if (from.position > last.position) return from
  throw new Error(
    `the events up to position ${last.position} were exported: give --from the head of an exported file, ` +
      'or a later head'
  )
}

async function signingKeyOf(config: Config, db: Database): Promise<SigningKey> {
  return openSigningKey(db, await openKeyring(db, await rootKeysOf(config)))
}
