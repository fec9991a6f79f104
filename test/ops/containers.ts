import { execFile, spawn } from 'node:child_process'
import { access, chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { eventually } from '../helpers/eventually.ts'
import { type Bed, missing } from './bed.ts'

const execute = promisify(execFile)
/** The base image that build-image-base.sh creates. */
const BASE = join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  `latchkey-ops/node-${process.versions.node}-bookworm.tar`
)
export const BASE_IMAGE = `docker.io/library/node:${process.versions.node}-bookworm-slim`
const PROGRAMS = ['buildah', 'podman', 'runc', 'unshare', 'nsenter']

/** Returns why the test must be skipped, or undefined. */
export async function missingForContainers(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'root is needed for containers'
  const program = await missing(...PROGRAMS)
  if (program) return program
  const isAllowed = await execute('unshare', ['--mount', '--pid', '--fork', 'true']).then(
    () => true,
    () => false
  )
  if (!isAllowed) return 'this machine does not allow namespaces'
  const hasBase = await access(BASE).then(
    () => true,
    () => false
  )
  return hasBase ? undefined : 'there is no base image: see test/ops/build-image-base.sh'
}

export interface Result {
  code: number
  out: string
  err: string
}

export interface Containers {
  /** Runs a program as root, in the namespaces of the containers but not in a container. */
  run(file: string, ...args: string[]): Promise<Result>
  /** Runs podman or buildah on the images and containers of this test. */
  podman(...args: string[]): Promise<Result>
  buildah(...args: string[]): Promise<Result>
  /** Writes files that only the user of the image can read, and returns their directory. */
  secrets(name: string, files: Record<string, string>): Promise<string>
}

/**
 * Creates separate storage for images and containers, in the directory of the bed. They run in namespaces
 * that end with the bed, in any way, together with all of their processes and mounts.
 */
export async function makeContainers(t: Test, bed: Bed): Promise<Containers> {
  const storage = join(bed.directory, 'containers')
  await mkdir(storage)
  const namespaces = spawn(
    'unshare',
    ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'sleep', 'infinity'],
    { cwd: bed.directory, stdio: 'ignore' }
  )
  t.teardown(() => namespaces.kill('SIGKILL'))
  const children = `/proc/${namespaces.pid}/task/${namespaces.pid}/children`
  let first = ''
  await eventually(async () => {
    first = (await readFile(children, 'utf8')).trim()
    return first !== ''
  }, 'the namespaces exist')

  const run = (file: string, ...args: string[]) =>
    new Promise<Result>((resolve) => {
      const inside = ['--target', first, '--mount', '--pid', file, ...args]
      // A working directory that exists in every mount namespace.
      const options = { cwd: '/', maxBuffer: 2 ** 26, env: { ...process.env, TMPDIR: storage } }
      execFile('nsenter', inside, options, (error, out, err) =>
        resolve({ code: error ? Number(error.code) : 0, out, err })
      )
    })
  const places = [
    '--root',
    join(storage, 'root'),
    '--runroot',
    join(storage, 'run'),
    '--storage-driver',
    'overlay'
  ]
  const containers: Containers = {
    run,
    podman: (...args) =>
      run(
        'podman',
        ...places,
        '--runtime',
        'runc',
        '--cgroup-manager',
        'cgroupfs',
        '--events-backend',
        'file',
        ...args
      ),
    buildah: (...args) => run('buildah', ...places, ...args),
    async secrets(name, files) {
      const directory = join(storage, name)
      await mkdir(directory)
      for (const [file, text] of Object.entries(files)) {
        await writeFile(join(directory, file), text, { mode: 0o600 })
        await chown(join(directory, file), 1000, 1000)
      }
      return directory
    }
  }
  // Removes the control groups, which are outside of the directory.
  t.teardown(() => containers.podman('rm', '--all', '--force', '--time', '0'))
  await importBase(containers)
  return containers
}

async function importBase({ buildah }: Containers): Promise<void> {
  const { out } = await buildah('from', 'scratch')
  const container = out.trim()
  for (const command of [
    ['add', '--quiet', container, BASE, '/'],
    ['commit', '--quiet', '--rm', container, BASE_IMAGE]
  ]) {
    const { code, err } = await buildah(...command)
    if (code !== 0) throw new Error(`the base image cannot be created: ${err}`)
  }
}

/** Builds the repository's Dockerfile unchanged, with the npm registry and certificates of this machine. */
export async function buildImage(containers: Containers, bed: Bed, tag: string): Promise<void> {
  const get = async (key: string) => (await execute('npm', ['config', 'get', key])).stdout.trim()
  const settings = [`registry=${await get('registry')}`]
  const authorities = await get('cafile')
  const mounts = ['--volume', `${join(bed.directory, 'containers/npmrc')}:/usr/local/etc/npmrc:ro`]
  if (authorities !== 'null') {
    settings.push(`cafile=${authorities}`)
    mounts.push('--volume', `${authorities}:${authorities}:ro`)
  }
  await writeFile(join(bed.directory, 'containers/npmrc'), `${settings.join('\n')}\n`)
  const repository = join(import.meta.dirname, '../..')
  const { code, out, err } = await containers.buildah(
    ...['bud', '--format', 'docker', '--isolation', 'chroot', '--network', 'host', '--pull=never', ...mounts],
    ...['--tag', tag, '--file', join(repository, 'Dockerfile'), repository]
  )
  if (code !== 0) throw new Error(`the image cannot be built: ${out.slice(-2_000)}${err.slice(-2_000)}`)
}
