import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

const MAX_BYTES = 65_536

/** A file of secrets cannot be used. The message completes "the file …". */
export class FileRefused extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'FileRefused'
  }
}

/** The file has the wrong owner or mode. */
export class PermissionsRefused extends FileRefused {}

/**
 * Reads a file that only the service's user may read or write. Throws FileRefused. Follows symbolic links,
 * because Kubernetes mounts secrets as such.
 */
export function readPrivateFile(path: string): string {
  let file: number | undefined
  try {
    // Non-blocking: opening a pipe would wait for a writer.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    const stats = fstatSync(file)
    if (!stats.isFile()) throw new FileRefused('is not a regular file')
    const fault = permissionFault(stats, process.getuid?.())
    if (fault) throw new PermissionsRefused(fault)
    if (stats.size > MAX_BYTES) throw new FileRefused(`is larger than ${MAX_BYTES / 1_024} KiB`)
    return decode(readFileSync(file))
  } catch (error) {
    if (error instanceof FileRefused) throw error
    throw new FileRefused(`cannot be read (${(error as NodeJS.ErrnoException).code})`)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/**
 * Reads a file that contains one secret, without the newline that editors and `echo` add. Throws FileRefused,
 * also if the file is empty or, unless `isMultiline`, has several lines.
 */
export function readSecret(path: string, isMultiline = false): string {
  const text = readPrivateFile(path).replace(/\r?\n$/, '')
  if (text.trim() === '') throw new FileRefused('is empty')
  if (!isMultiline && /[\r\n]/.test(text)) throw new FileRefused('has more than one line')
  return text
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new FileRefused('is not valid UTF-8')
  }
}

/**
 * Returns what is wrong with the permissions of a file for a process of the user `self` (undefined on a
 * system without users). The user's own file must be private. A file of root is a mounted secret, whose mode
 * the service cannot narrow: its group may read it, because that is how the service itself gets access.
 */
export function permissionFault(
  file: { mode: number; uid: number },
  self: number | undefined
): string | undefined {
  if (self === undefined) return undefined
  if (file.uid === self)
    return file.mode & 0o077 ? 'can be read or written by other users (chmod 600)' : undefined
  if (file.uid !== 0) return 'belongs to another user'
  return file.mode & 0o037
    ? 'can be read or written by other users (set mode 0440 for a mounted secret)'
    : undefined
}
