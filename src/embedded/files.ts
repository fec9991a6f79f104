import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, lstat, open, rename, rm, rmdir, stat, unlink } from 'node:fs/promises'
import { promisify } from 'node:util'

// As root, the service starts Postgres as another user, and handles files that belong to that user. Two rules
// keep that user from gaining root's rights:
//
// - Root works only in directories where nobody else can create entries, and in the cluster, which is an
//   entry of such a directory.
// - In the cluster, root opens files only through this module, and deletes files as the user who owns them.

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
 * Throws if every user may write to the directory or, as root, if any other user may: they could replace a
 * file by a link.
 */
export async function requireTrusted(directory: string): Promise<void> {
  const { uid, gid, mode } = await stat(directory)
  if (mode & 0o002)
    throw new Error(
      `every user may write to ${directory}: run "chmod o-w" on it, or choose another directory`
    )
  if (!isRoot()) return
  if (uid !== 0)
    throw new Error(`${directory} belongs to user ${uid}: run the service as that user, or chown it to root`)
  if (mode & 0o020) throw new Error(`group ${gid} may write to ${directory}: run "chmod g-w" on it`)
}

/**
 * Opens a regular file that belongs to this process's user or to `owner` and has no other hard link. Throws
 * for anything else, without following a link or waiting for a pipe. `flags` are those of open(2).
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
  new Error(`${path} ${fault}, so it was not used: find out who created it, and remove it`)

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

/** Creates a file of `owner` with this text. Replaces any entry of that name. */
export async function replaceOwned(path: string, text: string, owner: Owner | undefined): Promise<void> {
  const draft = `${path}.${randomUUID()}`
  const file = await open(draft, 'wx', 0o600)
  try {
    if (owner) await file.chown(owner.uid, owner.gid)
    await file.writeFile(text)
    // Without it, a power cut could leave an empty file.
    await file.sync()
    await rename(draft, path)
  } catch (error) {
    await unlink(draft).catch(() => {})
    throw error
  } finally {
    await file.close()
  }
}

/** Removes a directory and its content. Its parent must be trusted. */
export async function removeTree(path: string): Promise<void> {
  const { uid, gid } = await lstat(path)
  if (!isRoot() || uid === 0) return rm(path, { recursive: true, maxRetries: 3 })
  // This fails for the directory itself, which only root may remove.
  await runAs({ uid, gid }, '/bin/rm', ['-rf', '--', path]).catch(() => {})
  await rmdir(path)
}

/** Removes files and then their empty directory, as `owner`. Ignores what cannot be removed. */
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
