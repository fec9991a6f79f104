// `npm run pack:service [-- FOLDER]` creates the npm package `latchkey`, the service without development
// packages, in FOLDER or the current directory. The result is reproducible from sources and dependencies.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative, resolve } from 'node:path'

interface Manifest {
  [field: string]: unknown
  version: string
}

interface Lock {
  packages: Record<string, Locked>
}

interface Locked {
  version: string
  dev?: boolean
  link?: boolean
  /** Set if the package is only for some platforms. */
  os?: string[]
}

const here = import.meta.dirname
const root = join(here, '../..')
const target = resolve(process.env.INIT_CWD ?? '', process.argv[2] ?? '.')
/** Files that are not needed at run time: documentation, types and source maps, but not licenses. */
const NOT_RUN = /(?<!\/(licen[cs]e|notice|copying)[^/]*)\.(map|md|markdown|ts|cts|mts)$/i
/** Folders of a package that are not needed at run time. */
const DEVELOPMENT =
  /\/node_modules\/(@[^/]+\/)?[^/]+\/(\.github|benchmarks?|e2e|examples?|specs?|test)$/

const read = <T>(path: string): T => JSON.parse(readFileSync(path, 'utf8'))
const run = (program: string, ...args: string[]) =>
  execFileSync(program, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()

const staging = mkdtempSync(join(tmpdir(), 'latchkey-pack-'))
try {
  // Node does not strip types in node_modules.
  run(process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '-p', here, '--outDir', staging)
  cpSync(join(root, 'migrations/SHA256SUMS'), join(staging, 'migrations/SHA256SUMS'))
  cpSync(join(root, 'LICENSE'), join(staging, 'LICENSE'))
  cpSync(join(here, 'README.md'), join(staging, 'README.md'))
  cpSync(join(here, 'latchkey.js'), join(staging, 'latchkey.js'))
  const native = copyDependencies(join(root, 'node_modules'), join(staging, 'node_modules'))
  writeFileSync(join(staging, 'package.json'), `${JSON.stringify(manifest(native), undefined, 2)}\n`)

  const name = run('npm', 'pack', staging, '--silent', '--ignore-scripts', '--pack-destination', target)
  process.stdout.write(`${join(target, name)}\n`)
} finally {
  rmSync(staging, { recursive: true, force: true })
}

/**
 * Copies the production dependencies, because npm ignores the lockfile of a package that it installs, and
 * would install the newest matching versions. Returns the names and versions of packages for only some
 * platforms, which are not copied.
 */
function copyDependencies(from: string, to: string): Record<string, string> {
  const { packages } = read<Lock>(join(root, 'package-lock.json'))
  const native: Record<string, string> = {}
  for (const [path, { version, dev, link, os }] of Object.entries(packages)) {
    const name = relative('node_modules', path)
    if (dev || link || !path.startsWith('node_modules/')) continue
    if (os) native[name] = version
    else copyPackage(join(from, name), join(to, name))
  }
  return native
}

function copyPackage(from: string, to: string): void {
  // Some packages have their license only in the readme.
  const hasLicense = readdirSync(from).some((name) => /^(licen[cs]e|copying)/i.test(name))
  const isWanted = (path: string) => {
    if (!hasLicense && dirname(path) === from && /^readme/i.test(basename(path))) return true
    return !NOT_RUN.test(path) && !DEVELOPMENT.test(path) && !path.endsWith('/node_modules')
  }
  cpSync(from, to, { recursive: true, filter: isWanted })
}

/** Takes dependencies and versions from the repository, so that they need not be kept in sync manually. */
function manifest(native: Record<string, string>): Manifest {
  const { private: _, scripts: __, ...own } = read<Manifest>(join(here, 'package.json'))
  const { name, version, engines, ...others } = read<Manifest>(join(root, 'package.json'))
  const dependencies = { ...(others.dependencies as object), ...(others.optionalDependencies as object) }
  return {
    ...own,
    name,
    version,
    engines,
    bin: { latchkey: 'latchkey.js' },
    dependencies,
    bundleDependencies: Object.keys(dependencies),
    optionalDependencies: native
  }
}
