import { chown, lstat, mkdtemp, open, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { shellWord } from '../terminal.ts'
import { type Location, type Notice, RECORD, recordLocation } from './directory.ts'
import { ignoreMissing, readOwned, removeTree } from './files.ts'
import { type Log, run } from './program.ts'

const NEW_PREFIX = 'postgres.new-'

interface Options {
  binaries: string
  /** The version of the programs, such as 18.4.0. */
  version: string
  user: string
  durable: boolean
  /** False: throws if there is no cluster. */
  create: boolean
  log: Log
  notice: Notice
}

/**
 * Creates the cluster, with a superuser `user`, if there is none and `create` is true. It is created under a
 * temporary name and renamed at the end, so that an interrupted initdb is never mistaken for a cluster.
 */
export async function ensureCluster(location: Location, options: Options): Promise<void> {
  const { home, cluster, runAs } = location
  for (const name of await readdir(home)) {
    // The initdb of a killed process may still be writing there. If retries fail, the next start removes it.
    if (name.startsWith(NEW_PREFIX)) {
      await removeTree(join(home, name)).catch(() => {})
    }
  }
  if (!(await ignoreMissing(lstat(cluster)))) {
    if (!options.create) throw new Error(`there is no database in ${home}: a start of the service makes one`)
    await createCluster(location, options)
  }
  const major = (await readOwned(join(cluster, 'PG_VERSION'), runAs))?.trim()
  if (major === undefined) throw new Error(`${cluster} is not a PostgreSQL cluster: move it away`)
  const own = options.version.split('.')[0]!
  if (major !== own) throw new Error(otherMajor(location, major, own))
  await recordLocation(location)
}

function otherMajor({ directory, home, cluster }: Location, major: string, own: string): string {
  const moveAway = [`mv ${shellWord(cluster)} ${shellWord(`${cluster}-${major}`)}`]
  if (home !== directory) moveAway.push(`rm ${shellWord(join(directory, RECORD))}`)
  return (
    `the database in ${cluster} is of PostgreSQL ${major}, and this version of Latchkey has ${own}: run ` +
    `"latchkey backup FILE" with the version that ran on it, then "${moveAway.join(' && ')}" and ` +
    '"latchkey restore FILE" with this one'
  )
}

async function createCluster({ home, cluster, runAs }: Location, options: Options): Promise<void> {
  const { binaries, user, durable, log, notice } = options
  notice(`Creating the database in ${home}; this takes some seconds.`)
  const fresh = await mkdtemp(join(home, NEW_PREFIX))
  if (runAs) await chown(fresh, runAs.uid, runAs.gid)
  const args = ['-D', fresh, `--username=${user}`, '--encoding=UTF8', '--no-instructions']
  args.push(
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--auth-local=trust',
    '--auth-host=reject'
  )
  if (!durable) args.push('--no-sync')
  await log.mark()
  const code = await run(join(binaries, 'bin/initdb'), args, { runAs, log, detached: false }).ended
  if (code !== 0) throw new Error(`initdb ended with ${code}: ${await log.tail()}`)
  await rename(fresh, cluster)
  if (durable) await syncDirectory(home)
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  await directory.sync().finally(() => directory.close())
}
