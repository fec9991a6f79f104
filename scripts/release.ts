// `npm run release -- 1.2.3` commits a release and tags it. It pushes nothing.
import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

process.chdir(join(import.meta.dirname, '..'))

const VERSION = /^\d+\.\d+\.\d+(-[0-9a-z.]+)?$/
const UNRELEASED = /^## Unreleased\n(?=[\s\S]*?\S)(?!\s*## )/m

try {
  release(process.argv[2] ?? '')
} catch (error) {
  process.stderr.write(`release: ${(error as Error).message}\n`)
  process.exitCode = 1
}

function release(version: string): void {
  const tag = `v${version}`
  const changelog = readFileSync('CHANGELOG.md', 'utf8')
  if (!VERSION.test(version)) throw new Error('give a version, such as 1.2.3')
  if (run('git', 'branch', '--show-current') !== 'main') throw new Error('check out main')
  if (run('git', 'status', '--porcelain')) throw new Error('commit or stash your changes')
  if (run('git', 'tag', '--list', tag)) throw new Error(`the tag ${tag} exists`)
  if (!UNRELEASED.test(changelog)) throw new Error('CHANGELOG.md has nothing under "## Unreleased"')

  const everywhere = ['--workspaces', '--include-workspace-root', '--no-workspaces-update']
  run('npm', 'version', version, '--no-git-tag-version', '--allow-same-version', ...everywhere)
  // `npm version` does not update the workspaces in the lockfile.
  run('npm', 'install', '--package-lock-only', '--ignore-scripts', '--offline')
  run(process.execPath, 'src/cli.ts', 'openapi')
  copyFileSync('openapi.yaml', 'docs/openapi-released.yaml')
  const today = new Date().toISOString().slice(0, 10)
  writeFileSync('CHANGELOG.md', changelog.replace(UNRELEASED, `## Unreleased\n\n## ${version} (${today})\n`))

  run('git', 'commit', '--all', '--message', `Release ${version}`)
  run('git', 'tag', '--annotate', tag, '--message', `Latchkey ${version}`)
  process.stdout.write(`Tagged ${tag}. Publish it with: git push --atomic origin main ${tag}\n`)
}

/** Returns the output of the program without trailing white space. Throws with its errors if it fails. */
function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trimEnd()
}
