import { execFile } from 'node:child_process'
import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const root = join(import.meta.dirname, '../..')
const git = async (...args: string[]) => {
  const { stdout } = await promisify(execFile)('git', args, { cwd: root, encoding: 'utf8' })
  return stdout.trim()
}

export interface Release {
  commit: string
  /** Extracts its files into `directory`, with the node_modules of this version. */
  checkOut(directory: string): Promise<void>
}

/** Returns the last release, or the reason why the repository does not have it. */
export async function findLastRelease(): Promise<Release | string> {
  // Without tags, the last commit of this file is the release, because only releases change it.
  const commit = await git('rev-parse', '--verify', '--quiet', `${await lastTag()}^{commit}`)
    .catch(() => git('log', '-1', '--format=%H', '--', 'docs/openapi-released.yaml'))
    .catch((error: Error) => error)
  if (commit instanceof Error) return `git: ${commit.message}`
  if (!commit || (await git('rev-parse', '--is-shallow-repository')) === 'true')
    return 'the history of the repository is missing: git fetch --unshallow --tags'
  return {
    commit,
    async checkOut(directory) {
      await mkdir(directory)
      const archive = join(directory, 'release.tar')
      await git('archive', '--output', archive, commit, 'src', 'migrations', 'package.json', 'openapi.yaml')
      await promisify(execFile)('tar', ['-xf', archive, '-C', directory])
      await symlink(join(root, 'node_modules'), join(directory, 'node_modules'))
    }
  }
}

const lastTag = () => git('describe', '--tags', '--abbrev=0', '--match', 'v[0-9]*').catch(() => 'none')
