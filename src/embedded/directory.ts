import { createHash } from 'node:crypto'
import { chmod, chown, lstat, mkdir, mkdtemp, readFile, realpath, stat } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { ignoreMissing, isRoot, type Owner, removeDirectory, replaceOwned, requireTrusted } from './files.ts'

/**
 * The files of an embedded Postgres. `home` is the data directory, or a fallback if Postgres cannot use that:
 *
 *   directory/postgres.location   the path of home, if it is a fallback
 *   home/postgres/                the cluster, 0700, owned by the user of Postgres
 *   home/postgres.new-…/          a cluster that initdb is creating
 *   home/postgres.log, .log.1     the log of Postgres
 *   home/postgres.lock-…          the lock of the process that uses it
 *   home/binaries-…/              a copy of the programs, if the installed ones cannot be used
 */
export interface Location {
  directory: string
  home: string
  cluster: string
  /** The user of Postgres; undefined: that of this process. */
  runAs: Owner | undefined
}

export type Notice = (line: string) => void

/** Names the directory of the database, if it is not in the data directory. */
export const RECORD = 'postgres.location'

// The user `nobody`, which every Linux has.
const NOBODY: Owner = { uid: 65534, gid: 65534 }

/**
 * Returns true if the data directory has a database or names the directory of its database. As root, also if
 * a fallback directory has one: the data directory may have been lost and created again.
 */
export async function hasDatabase(directory: string): Promise<boolean> {
  const entries = ['postgres', RECORD].map((name) =>
    lstat(join(directory, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
    })
  )
  if ((await Promise.all(entries)).some((entry) => entry !== undefined)) return true
  if (!isRoot()) return false
  for (const home of fallbacksOf((await ignoreMissing(realpath(directory))) ?? directory)) {
    if (!(await isExclusive(dirname(home))) || !(await isExclusive(home))) continue
    if (await ignoreMissing(lstat(join(home, 'postgres')))) return true
  }
  return false
}

/** Finds or creates the directories of the cluster. Throws if that is not possible. */
export async function resolveLocation(path: string, notice: Notice): Promise<Location> {
  const directory = await prepare(path, notice)
  const recordFile = join(directory, RECORD)
  const record = (await ignoreMissing(readFile(recordFile, 'utf8')))?.trim()
  if (record === '')
    throw new Error(`${recordFile} is empty: write the path of the database's directory to it`)
  let home = record || directory
  const found = await ignoreMissing(lstat(join(home, 'postgres')))
  if (record && !found) {
    throw new Error(`the database of ${directory} is no longer in ${record}, where it was stored`)
  }
  if (home !== directory) await requireTrusted(home)
  if (!(await isReachable(home, await ownerOf(home)))) {
    if (found)
      throw new Error(`PostgreSQL does not run as root, and the user that it runs as cannot access ${home}`)
    home = await findFallback(directory)
  }
  if (home !== directory) {
    notice(
      `The database is stored in ${home}: PostgreSQL does not run as root, ` +
        `and no other user can access ${directory}.`
    )
    if (home.startsWith(tmpdir()))
      notice('That directory is temporary: set DATABASE_URL if you want to keep the data.')
  }
  return { directory, home, cluster: join(home, 'postgres'), runAs: await ownerOf(home) }
}

/** Records a fallback for the next start, once the cluster exists. */
export async function recordLocation({ directory, home }: Location): Promise<void> {
  if (home !== directory) await replaceOwned(join(directory, RECORD), `${home}\n`, undefined)
}

async function prepare(path: string, notice: Notice): Promise<string> {
  await mkdir(dirname(path), { recursive: true })
  const created = await mkdir(path, { recursive: true, mode: 0o700 })
  const directory = await realpath(path)
  await requireTrusted(directory)
  const { mode, uid } = await stat(directory)
  const isPrivate = uid === 0 && (mode & 0o077) === 0 && directory !== homedir()
  if (isRoot() && isPrivate && (await isReachable(dirname(directory), NOBODY))) {
    // Postgres can then reach the cluster, but not list the directory.
    await chown(directory, uid, NOBODY.gid)
    await chmod(directory, 0o710)
    if (!created) notice(`Granted group ${NOBODY.gid}, which PostgreSQL runs as, access to ${directory}.`)
  }
  return directory
}

async function ownerOf(home: string): Promise<Owner | undefined> {
  const cluster = join(home, 'postgres')
  // A user's cluster may be a symbolic link. As root, links are not followed.
  const owner = await ignoreMissing(isRoot() ? lstat(cluster) : stat(cluster))
  if (owner && !owner.isDirectory()) {
    const what = owner.isSymbolicLink() ? 'a symbolic link, which is not followed as root' : 'not a directory'
    throw new Error(`${cluster} is ${what}: move it elsewhere, or set LATCHKEY_DATA_DIR`)
  }
  if (isRoot()) {
    if (owner?.uid === 0)
      throw new Error(
        `${cluster} belongs to root, and PostgreSQL does not run as root: ` +
          'copy the data directory again with "cp -a", which keeps the owner'
      )
    return owner ? { uid: owner.uid, gid: owner.gid } : NOBODY
  }
  if (owner && owner.uid !== process.getuid?.()) {
    throw new Error(
      `${cluster} belongs to user ${owner.uid}: run the service as that user, or as root if root created it`
    )
  }
  return undefined
}

function fallbacksOf(directory: string): string[] {
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 16)
  return ['/var/lib', tmpdir()].map((parent) => join(parent, 'latchkey', name))
}

async function findFallback(directory: string): Promise<string> {
  for (const home of fallbacksOf(directory)) {
    const reachable = await ignoreMissing(isReachable(dirname(dirname(home)), NOBODY))
    if (reachable && (await makeExclusive(dirname(home))) && (await makeExclusive(home))) return home
  }
  throw new Error(
    'PostgreSQL does not run as root, and no directory is accessible to another user: set DATABASE_URL'
  )
}

/**
 * Creates a directory that only this user can write to. Returns false if that fails or if another user owns
 * the directory.
 */
async function makeExclusive(path: string): Promise<boolean> {
  try {
    await mkdir(path)
    await chmod(path, 0o711)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false
    return isExclusive(path)
  }
}

async function isExclusive(path: string): Promise<boolean> {
  const entry = await ignoreMissing(lstat(path))
  return entry?.isDirectory() === true && entry.uid === process.getuid?.() && (entry.mode & 0o022) === 0
}

export const PORT = 5432
const SOCKET = `.s.PGSQL.${PORT}`
// A socket path has at most 108 bytes on Linux and 104 elsewhere, including the terminating zero.
const fitsSocket = (directory: string) => Buffer.byteLength(join(directory, SOCKET)) < 104

/**
 * The directory of the socket: the cluster or, if that path is too long, a new directory of the same mode.
 */
export async function socketDirectory({ cluster, runAs }: Location): Promise<string> {
  if (fitsSocket(cluster)) return cluster
  for (const parent of [tmpdir(), '/tmp']) {
    const prefix = join(parent, 'latchkey-')
    if (!fitsSocket(`${prefix}XXXXXX`) || !(await isReachable(parent, runAs))) continue
    const directory = await mkdtemp(prefix)
    if (runAs) await chown(directory, runAs.uid, runAs.gid)
    return directory
  }
  throw new Error(
    'PostgreSQL can use no temporary directory for its socket: set LATCHKEY_DATA_DIR to a shorter path'
  )
}

/** Removes a directory that `socketDirectory` created, and no other. */
export async function removeSocketDirectory(directory: string, runAs: Owner | undefined): Promise<void> {
  if (!/^latchkey-\w{6}$/.test(basename(directory))) return
  const files = [SOCKET, `${SOCKET}.lock`].map((name) => join(directory, name))
  await removeDirectory(directory, files, runAs)
}

/**
 * Returns true if `user` can enter the directory or read the file. Always true without a user, which stands
 * for this process.
 */
export async function isReachable(path: string, user: Owner | undefined): Promise<boolean> {
  if (!user) return true
  const start = await realpath(path)
  for (let at = start; ; at = dirname(at)) {
    const entry = await stat(at)
    const allowed = entry.mode >> (entry.uid === user.uid ? 6 : entry.gid === user.gid ? 3 : 0)
    if (!(allowed & (entry.isDirectory() ? 1 : 4))) return false
    if (at === dirname(at)) return true
  }
}
