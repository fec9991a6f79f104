import { createHash } from 'node:crypto'
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  realpath,
  rm,
  rmdir,
  stat,
  writeFile
} from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'

/**
 * Where things are. `home` is the data directory itself, or a refuge when that cannot be reached:
 *
 *   directory/postgres.location   the path of home, if it is a refuge
 *   home/postgres/                the cluster, 0700, owned by whom Postgres runs as
 *   home/postgres.new-…/          a cluster in the making
 *   home/postgres.log, .log.1     what Postgres has to say
 *   home/postgres.lock-…          the process that uses it
 *   home/binaries-…/              a copy of the programs, where the installed ones do not serve
 */
export interface Place {
  directory: string
  home: string
  cluster: string
  /** Whom Postgres runs as; undefined: as this process. */
  runAs: Owner | undefined
}

export interface Owner {
  uid: number
  gid: number
}

export type Notice = (line: string) => void

// Nobody, under every Linux; no user has to be made for it.
const NOBODY: Owner = { uid: 65534, gid: 65534 }
const isRoot = () => process.getuid?.() === 0

/** What is wanted, or undefined when the file or process is not there. */
export async function unlessMissing<T>(wanted: Promise<T>): Promise<T | undefined> {
  return wanted.catch((error) => {
    if (['ENOENT', 'ESRCH'].includes(error.code)) return undefined
    throw error
  })
}

/** Finds, and makes where it is missing, the place of the cluster. Throws when there cannot be one. */
export async function findPlace(path: string, notice: Notice): Promise<Place> {
  const directory = await prepare(path, notice)
  const record = (await unlessMissing(readFile(join(directory, 'postgres.location'), 'utf8')))?.trim()
  let home = record || directory
  const found = await unlessMissing(stat(join(home, 'postgres')))
  if (record && !found) {
    throw new Error(`the database of ${directory} was kept in ${record}, and is not there any more`)
  }
  if (!(await isReachable(home, await ownerOf(home)))) {
    if (found) throw new Error(`as root, PostgreSQL runs as another user, and that one cannot reach ${home}`)
    home = await findRefuge(directory)
  }
  if (home !== directory) {
    notice(
      `The database is kept in ${home}: PostgreSQL refuses to run as root, and nobody else can reach ${directory}.`
    )
    if (home.startsWith(tmpdir())) notice('That place is temporary: set DATABASE_URL for data that counts.')
  }
  return { directory, home, cluster: join(home, 'postgres'), runAs: await ownerOf(home) }
}

/** To be called once the cluster is there, so that it is found again. */
export async function recordPlace({ directory, home }: Place): Promise<void> {
  if (home !== directory) await writeFile(join(directory, 'postgres.location'), `${home}\n`, { mode: 0o600 })
}

async function prepare(path: string, notice: Notice): Promise<string> {
  await mkdir(dirname(path), { recursive: true })
  const made = await mkdir(path, { recursive: true, mode: 0o700 })
  const directory = await realpath(path)
  const { mode, uid } = await stat(directory)
  if (mode & 0o002) throw new Error(`anybody may write to ${directory}: chmod o-w it, or choose another one`)
  const isPrivate = uid === 0 && (mode & 0o077) === 0 && directory !== homedir()
  if (isRoot() && isPrivate && (await isReachable(dirname(directory), NOBODY))) {
    // The way through to the cluster, without the right to list what is beside it.
    await chown(directory, uid, NOBODY.gid)
    await chmod(directory, 0o710)
    if (!made) notice(`Let group ${NOBODY.gid}, as which PostgreSQL runs, pass through ${directory}.`)
  }
  return directory
}

async function ownerOf(home: string): Promise<Owner | undefined> {
  const cluster = join(home, 'postgres')
  const owner = await unlessMissing(stat(cluster))
  if (isRoot()) {
    if (owner?.uid === 0)
      throw new Error(`${cluster} belongs to root, as whom PostgreSQL does not run: chown it`)
    return owner ? { uid: owner.uid, gid: owner.gid } : NOBODY
  }
  if (owner && owner.uid !== process.getuid?.()) {
    throw new Error(`${cluster} belongs to user ${owner.uid}: run as that one (as root, if root made it)`)
  }
  return undefined
}

async function findRefuge(directory: string): Promise<string> {
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 16)
  for (const parent of ['/var/lib', tmpdir()]) {
    const home = join(parent, 'latchkey', name)
    const isThere = await unlessMissing(isReachable(parent, NOBODY))
    if (isThere && (await makeOwn(dirname(home))) && (await makeOwn(home))) return home
  }
  throw new Error('PostgreSQL, which refuses to run as root, finds no directory to use: set DATABASE_URL')
}

/** Makes a directory that only this user can write to; false when it cannot, or when somebody else was first. */
async function makeOwn(path: string): Promise<boolean> {
  try {
    await mkdir(path)
    await chmod(path, 0o711)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false
    const entry = await lstat(path)
    return entry.isDirectory() && entry.uid === process.getuid?.() && (entry.mode & 0o022) === 0
  }
}

export const PORT = 5432
const SOCKET = `.s.PGSQL.${PORT}`
// Of 108 bytes on Linux and 104 elsewhere, with the zero at the end.
const fits = (directory: string) => Buffer.byteLength(join(directory, SOCKET)) < 104

/** Where the socket goes: the cluster, or a new directory of the same mode when that path is too long for one. */
export async function socketDirectory({ cluster, runAs }: Place): Promise<string> {
  if (fits(cluster)) return cluster
  for (const parent of [tmpdir(), '/tmp']) {
    const prefix = join(parent, 'latchkey-')
    if (!fits(`${prefix}XXXXXX`) || !(await isReachable(parent, runAs))) continue
    const directory = await mkdtemp(prefix)
    if (runAs) await chown(directory, runAs.uid, runAs.gid)
    return directory
  }
  throw new Error('there is no temporary directory that PostgreSQL can use for its socket')
}

/** Removes such a new directory; leaves any other alone. */
export async function dropSocketDirectory(directory: string): Promise<void> {
  if (!/^latchkey-\w{6}$/.test(basename(directory))) return
  for (const name of [SOCKET, `${SOCKET}.lock`]) await rm(join(directory, name), { force: true })
  await rmdir(directory).catch(() => {})
}

/** Whether `who` can pass through a directory, or read a file; always true of this process itself. */
export async function isReachable(path: string, who: Owner | undefined): Promise<boolean> {
  if (!who) return true
  const start = await realpath(path)
  for (let at = start; ; at = dirname(at)) {
    const entry = await stat(at)
    const allowed = entry.mode >> (entry.uid === who.uid ? 6 : entry.gid === who.gid ? 3 : 0)
    if (!(allowed & (entry.isDirectory() ? 1 : 4))) return false
    if (at === dirname(at)) return true
  }
}
