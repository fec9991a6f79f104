import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { access, constants, link, lstat, mkdir, open, rm, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ConfigError } from '../config.ts'
import { FileRefused, PermissionsRefused, readPrivateFile } from '../private-file.ts'
import { parseRootKeys } from '../root-keys/list.ts'
import { newRootKey } from '../root-keys/local.ts'
import type { RootKey } from '../root-keys/root-key.ts'
import { ignoreMissing, requireTrusted } from './files.ts'

/**
 * Creates the data directory, for this user only. Throws a ConfigError if it cannot be created or written.
 */
export async function prepareDataDirectory(directory: string): Promise<void> {
  try {
    await mkdir(dirname(directory), { recursive: true })
    await mkdir(directory, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
    await access(`${directory}/.`, constants.W_OK | constants.X_OK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new ConfigError(
      'LATCHKEY_DATA_DIR',
      `must be a directory that the service can create and write to: ${directory} (${code})`
    )
  }
  // Checked before anything is read: root would follow a link in it to any file.
  await requireTrusted(directory).catch((error: Error) => {
    throw new ConfigError('LATCHKEY_DATA_DIR', `cannot be used: ${error.message}`)
  })
}

const ROOT_KEYS = 'root.keys'
const ADMIN_PASSWORD = 'admin.password'

/** Other users may read or write a file in the directory. */
export class NotPrivate extends ConfigError {}

/** Reads the root keys in the directory. Returns undefined if it has no `root.keys`. */
export async function readRootKeys(directory: string): Promise<RootKey[] | undefined> {
  const path = join(directory, ROOT_KEYS)
  if (!(await ignoreMissing(lstat(path)))) return undefined
  try {
    return parseRootKeys(readPrivate(path))
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new ConfigError(
      'LATCHKEY_DATA_DIR',
      `contains a root.keys that is not a list of keys: ${error.message}`
    )
  }
}

/**
 * Creates a root key in the directory, unless it has one, and returns the path of the file. Only for a new
 * database: a new key cannot decrypt existing values.
 */
export async function makeRootKey(directory: string): Promise<string> {
  const path = join(directory, ROOT_KEYS)
  await writeOnce(path, newRootKey('embedded'))
  return path
}

/** Reads the first administrator's password in the directory. Creates one if there is none. */
export async function adminPasswordIn(directory: string): Promise<string> {
  const path = join(directory, ADMIN_PASSWORD)
  await writeOnce(path, randomBytes(18).toString('base64url'))
  return readPrivate(path).trim()
}

/** Reads the same password, or returns undefined if there is none. */
export function readAdminPassword(directory: string): string | undefined {
  const path = join(directory, ADMIN_PASSWORD)
  return existsSync(path) ? readPrivate(path).trim() : undefined
}

export async function removeAdminPassword(directory: string): Promise<void> {
  await rm(join(directory, ADMIN_PASSWORD), { force: true })
}

/**
 * Writes a file with mode 0600 and returns true, or returns false if it exists. The file appears only when it
 * is complete and on disk: a power cut must not lose a root key or leave half of one.
 */
async function writeOnce(path: string, line: string): Promise<boolean> {
  if (await ignoreMissing(stat(path))) return false
  const draft = `${path}.${randomUUID()}`
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.chmod(0o600)
    await file.writeFile(`${line}\n`)
    await file.sync()
    await link(draft, path)
  } catch (error) {
    // Another process has created it meanwhile.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await file.close()
    await unlink(draft)
  }
  const directory = await open(dirname(path))
  await directory.sync().finally(() => directory.close())
  return true
}

function readPrivate(path: string): string {
  try {
    return readPrivateFile(path)
  } catch (error) {
    if (!(error instanceof FileRefused)) throw error
    const Fault = error instanceof PermissionsRefused ? NotPrivate : ConfigError
    throw new Fault('LATCHKEY_DATA_DIR', `contains a file that ${error.message}: ${path}`)
  }
}
