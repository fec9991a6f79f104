import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

const LONGEST = 65_536

/** A file that holds secrets and is not private. The message says what it is, as `… a file that <message>`. */
export class FileRefused extends Error {
  constructor(what: string) {
    super(what)
    this.name = 'FileRefused'
  }
}

/**
 * The text of a file that nobody may read or write but the service. Throws FileRefused. Symbolic links are followed:
 * Kubernetes mounts secrets as such.
 */
export function readPrivateFile(path: string): string {
  let file: number | undefined
  try {
    // Not blocking, or a pipe would be waited for.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    const stats = fstatSync(file)
    if (!stats.isFile()) throw new FileRefused('is not a regular file')
    const exposed = exposureOf(stats, process.getuid?.())
    if (exposed) throw new FileRefused(exposed)
    if (stats.size > LONGEST) throw new FileRefused('is too long')
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof FileRefused) throw error
    throw new FileRefused(`cannot be read (${(error as NodeJS.ErrnoException).code})`)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/**
 * What is wrong with who may read or write a file, if anything, for a process of the user `self` (undefined: a system
 * without users). One's own is for oneself alone. One of root's is a mounted secret, whose mode the service cannot
 * narrow: there its group may read it, since that is how the service itself comes to read it.
 */
export function exposureOf(
  file: { mode: number; uid: number },
  self: number | undefined
): string | undefined {
  if (self === undefined) return undefined
  if (file.uid === self) return file.mode & 0o077 ? 'others may read or write (chmod 600)' : undefined
  if (file.uid !== 0) return 'belongs to another user'
  return file.mode & 0o037 ? 'others may read or write (a mounted secret has to have mode 0440)' : undefined
}
