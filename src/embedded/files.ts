import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, lstat, open, rename, rm, rmdir, stat, unlink } from 'node:fs/promises'
import { promisify } from 'node:util'

// Root starts Postgres as another user, so there are files that root handles and that user owns. Two rules
// keep that user from using root's rights. Root works only in directories in which nobody else can make
// entries, and in the cluster, whose path is such an entry. There, it opens a file only through this module,
// and deletes as the user who owns the files.

export interface Owner {
  uid: number
  gid: number
}

export const isRoot = () => process.getuid?.() === 0

/** Resolves to undefined if the file or process does not exist. */
export async function ignoreMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  return promise.catch((error) => {
    if (['ENOENT', 'ESRCH'].includes(error.code)) return undefined
    throw error
  })
}

/**
 * Throws if anybody may write to the directory or, as root, if anybody but root may: they could put a link in
 * the place of a file.
 */
export async function requireTrusted(directory: string): Promise<void> {
  const { uid, gid, mode } = await stat(directory)
  if (mode & 0o002) throw new Error(`anybody may write to ${directory}: chmod o-w it, or choose another one`)
  if (!isRoot()) return
  if (uid !== 0) throw new Error(`${directory} belongs to user ${uid}: run as that one, or chown it to root`)
  if (mode & 0o020) throw new Error(`group ${gid} may write to ${directory}: chmod g-w it`)
}

/**
 * Opens a regular file that this process or `owner` owns, and that has one name. Throws for anything else,
 * without following a link or waiting for a pipe. `flags` are those of open(2).
 */
export async function openOwned(path: string, flags: number, owner: Owner | undefined): Promise<FileHandle> {
  // Windows has neither flag.
  const safe = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
  const file = await open(path, flags | safe, 0o600).catch((error: NodeJS.ErrnoException) => {
    const { code = '' } = error
    if (code === 'ELOOP' || code === 'EMLINK') throw refusal(path, 'is a symbolic link')
    if (code === 'ENXIO' || code === 'EISDIR') throw refusal(path, 'is not a regular file')
    throw error
  })
  try {
    const stats = await file.stat()
    if (!stats.isFile()) throw refusal(path, 'is not a regular file')
    if (stats.nlink > 1) throw refusal(path, 'is a hard link')
    const self = process.getuid?.()
    if (self !== undefined && stats.uid !== self && stats.uid !== owner?.uid)
      throw refusal(path, `belongs to user ${stats.uid}`)
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

const refusal = (path: string, fault: string) =>
  new Error(`${path} ${fault}, and was not touched: see who put it there, and remove it`)

const MAX_BYTES = 65_536

/** Returns the text of a small file that `openOwned` accepts, or undefined if there is none. */
export async function readOwned(path: string, owner: Owner | undefined): Promise<string | undefined> {
  const file = await ignoreMissing(openOwned(path, constants.O_RDONLY, owner))
  if (!file) return undefined
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_BYTES), 0, MAX_BYTES, 0)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Puts a new file of `owner`, with this text, in the place of whatever has the name. */
export async function replaceOwned(path: string, text: string, owner: Owner | undefined): Promise<void> {
  const draft = `${path}.${randomUUID()}`
  const file = await open(draft, 'wx', 0o600)
  try {
    if (owner) await file.chown(owner.uid, owner.gid)
    await file.writeFile(text)
    // A power cut would leave an empty file.
    await file.sync()
    await rename(draft, path)
  } catch (error) {
    await unlink(draft).catch(() => {})
    throw error
  } finally {
    await file.close()
  }
}

/** Removes a directory that is an entry of a trusted one, with all that is in it. */
export async function removeTree(path: string): Promise<void> {
  const { uid, gid } = await lstat(path)
  if (!isRoot() || uid === 0) return rm(path, { recursive: true, maxRetries: 3 })
  // It fails for the directory itself, which only root may remove.
  await runAs({ uid, gid }, '/bin/rm', ['-rf', '--', path]).catch(() => {})
  await rmdir(path)
}

/** Removes files and then the empty directory that has them, as `owner`. Ignores what it cannot remove. */
export async function removeDirectory(
  path: string,
  files: readonly string[],
  owner: Owner | undefined
): Promise<void> {
  if (owner) {
    await runAs(owner, '/bin/rm', ['-f', '--', ...files]).catch(() => {})
    await runAs(owner, '/bin/rmdir', ['--', path]).catch(() => {})
    return
  }
  for (const file of files) await rm(file, { force: true })
  await rmdir(path).catch(() => {})
}

async function runAs(owner: Owner, program: string, args: string[]): Promise<void> {
  await promisify(execFile)(program, args, { ...owner, cwd: '/', env: {} })
}
