import { chown, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Place, recordPlace, unlessMissing } from './directory.ts'
import { type Log, run } from './program.ts'

const FRESH = 'postgres.new-'

interface Options {
  binaries: string
  user: string
  durable: boolean
  log: Log
}

/**
 * Makes the cluster where there is none yet, with a superuser `user`. It is made under another name and renamed
 * when it is whole, so that one that was cut short is never taken for it.
 */
export async function ensureCluster(place: Place, options: Options): Promise<void> {
  const { home, cluster } = place
  for (const name of await readdir(home)) {
    // The initdb of a killed process may still be writing there: tried again, and in the end left to the next start.
    if (name.startsWith(FRESH)) {
      await rm(join(home, name), { recursive: true, maxRetries: 3 }).catch(() => {})
    }
  }
  if (!(await unlessMissing(stat(cluster)))) await makeCluster(place, options)
  if (!(await unlessMissing(stat(join(cluster, 'PG_VERSION'))))) {
    throw new Error(`${cluster} is not a PostgreSQL cluster: move it away`)
  }
  await recordPlace(place)
}

async function makeCluster({ home, cluster, runAs }: Place, options: Options): Promise<void> {
  const { binaries, user, durable, log } = options
  const fresh = await mkdtemp(join(home, FRESH))
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
