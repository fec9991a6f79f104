import { execFile, execFileSync } from 'node:child_process'
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

const root = join(import.meta.dirname, '..')
const CLIENT = 'sdk/typescript/package.json'
const PACKED = 'packages/latchkey/package.json'
const DOCUMENTS = ['openapi.yaml', 'docs/openapi-released.yaml']
const FILES = ['package.json', 'package-lock.json', CLIENT, PACKED, ...DOCUMENTS]

/** Creates a repository with copies of the files that a release needs, in one commit on main. */
function repositoryIn(directory: string) {
  for (const path of [...FILES, 'src', 'migrations', 'scripts', '.gitignore']) {
    cpSync(join(root, path), join(directory, path), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
  writeFileSync(join(directory, 'CHANGELOG.md'), '# Changelog\n\n## Unreleased\n- Added a thing\n')
  // If a git hook runs the tests, its variables would make git use the original repository.
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'))
  const env = {
    ...Object.fromEntries(others),
    GIT_CONFIG_GLOBAL: join(directory, '.git/global'),
    GIT_CONFIG_NOSYSTEM: '1'
  }
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: directory, env, encoding: 'utf8' }).trim()
  git('init', '--quiet', '--initial-branch=main')
  git('config', 'user.name', 'Ann')
  git('config', 'user.email', 'ann@example.org')
  writeFileSync(join(directory, '.git/info/exclude'), 'node_modules\n')
  git('add', '--all')
  git('commit', '--quiet', '--message', 'Start')
  const release = (...args: string[]) =>
    promisify(execFile)(process.execPath, ['scripts/release.ts', ...args], { cwd: directory, env })
  const read = (path: string) => readFileSync(join(directory, path), 'utf8')
  return {
    git,
    release,
    read,
    write: (path: string, text: string) => writeFileSync(join(directory, path), text)
  }
}

t.test('a release sets the version everywhere, and is one commit with a tag', async (t) => {
  const { git, release, read } = repositoryIn(t.testdir())
  await release('7.8.9')
  t.equal(JSON.parse(read('package.json')).version, '7.8.9')
  const lock = JSON.parse(read('package-lock.json'))
  const locked = ['', 'sdk/typescript', 'packages/latchkey'].map((path) => lock.packages[path].version)
  t.same([lock.version, ...locked], ['7.8.9', '7.8.9', '7.8.9', '7.8.9'])
  for (const path of [CLIENT, PACKED]) t.equal(JSON.parse(read(path)).version, '7.8.9', path)
  t.match(read('openapi.yaml'), /^ {2}version: 7\.8\.9$/m)
  t.equal(read('docs/openapi-released.yaml'), read('openapi.yaml'))
  t.match(read('CHANGELOG.md'), /^## Unreleased\n\n## 7\.8\.9 \(\d{4}-\d\d-\d\d\)\n- Added a thing\n/m)
  t.equal(git('status', '--porcelain'), '')
  t.equal(git('rev-list', '--count', 'HEAD'), '2')
  t.equal(git('cat-file', '-t', 'v7.8.9'), 'tag', 'an annotated tag')
  t.equal(git('rev-parse', 'v7.8.9^{commit}'), git('rev-parse', 'HEAD'))
  // Nothing else in the lockfile changes.
  t.match(git('diff', '--numstat', 'HEAD~', '--', 'package-lock.json'), /^4\t4\t/)

  await t.rejects(release('7.8.9'), { message: /the tag v7\.8\.9 exists/ })
  await t.rejects(release('7.8.10'), { message: /nothing under "## Unreleased"/ })
})

t.test('a release is refused before it changes anything', async (t) => {
  const { git, release, write } = repositoryIn(t.testdir())
  await t.rejects(release(), { message: /give a version/ })
  await t.rejects(release('v1.2'), { message: /give a version/ })
  git('checkout', '--quiet', '-b', 'other')
  await t.rejects(release('7.8.9'), { message: /check out main/ })
  git('checkout', '--quiet', 'main')
  t.equal(git('status', '--porcelain'), '', 'nothing has changed')
  write('new.txt', '')
  await t.rejects(release('7.8.9'), { message: /commit or stash/ })
  t.equal(git('status', '--porcelain'), '?? new.txt')
  t.equal(git('tag', '--list'), '')
})
