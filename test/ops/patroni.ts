import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { parse, stringify } from 'yaml'
import { eventually } from '../helpers/eventually.ts'
import { freePort } from '../helpers/free-port.ts'
import { type Bed, type Daemon, missing } from './bed.ts'
import { fileOnPage } from './page.ts'
import { startWire } from './wire.ts'

/** Shorter than on the page, as far as Patroni allows. */
const TIMES = { loop_wait: 1, retry_timeout: 3 }

export interface Node {
  name: string
  /** The ports of the wires, through which all others reach Postgres and Patroni. */
  ports: { postgres: number; patroni: number }
  /** Asks Patroni, without the wire, whether this node is the primary. */
  isPrimary(): Promise<boolean>
  /** Starts Patroni, which starts Postgres. */
  start(): void
  /** Kills Patroni and Postgres with SIGKILL. */
  kill(): Promise<void>
  /** Suspends Patroni; Postgres keeps running. */
  freeze(): void
  thaw(): void
  /** Cuts the node off from etcd, the other nodes, HAProxy and the clients. */
  cut(): void
  mend(): void
}

export interface Cluster {
  nodes: Node[]
  /** The HAProxy port that forwards to the primary. */
  port: number
  /** A URL for the superuser, through HAProxy. */
  adminUrl: string
  /** Returns the primary, or undefined while there is none. Ignores the node `other`. */
  primary(other?: Node): Promise<Node | undefined>
  /** Waits until a primary has two standbys, one of them synchronous. */
  healthy(): Promise<void>
  /** Asks Patroni for a planned switchover. */
  switchOver(): Promise<void>
}

interface Member {
  role: string
  state: string
}

/** The directory in which install-patroni.sh installs Patroni. */
const PATRONI = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'latchkey-ops/patroni')

/** Returns why the test must be skipped, or undefined. */
export async function missingForCluster(): Promise<string | undefined> {
  if (!(await findPostgres())) return "Debian's Postgres server is not installed"
  if (!existsSync(PATRONI)) return 'test/ops/install-patroni.sh has not installed Patroni'
  return missing('python3', 'etcd', 'haproxy')
}

/**
 * Returns the directory with the programs of Debian's newest Postgres, or undefined. The embedded Postgres
 * lacks pg_basebackup and pg_rewind.
 */
export async function findPostgres(): Promise<string | undefined> {
  const root = '/usr/lib/postgresql'
  const versions = (await readdir(root).catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number)
  return versions.length > 0 ? join(root, String(Math.max(...versions)), 'bin') : undefined
}

/** Starts three nodes with etcd, Patroni and Postgres, and one HAProxy, with the files on the page. */
export async function startCluster(t: Test, bed: Bed): Promise<Cluster> {
  const etcd = await startEtcd(bed)
  // If root installed it, other users may be unable to read it.
  await bed.copy(PATRONI, 'patroni')
  const nodes: Node[] = []
  for (const [index, port] of etcd.entries()) nodes.push(await makeNode(t, bed, `node${index + 1}`, port))
  for (const node of nodes) node.start()
  const port = await startHaproxy(bed, nodes)
  const { password } = (await patroniConfig()).postgresql.authentication.superuser
  const ask = async (path: string, body?: object) => {
    for (const { ports } of nodes) {
      const answer = await request(ports.patroni, path, body)
      if (answer) return answer
    }
    throw new Error('no Patroni responds')
  }
  const primary = async (other?: Node) => {
    const asked = nodes.filter((node) => node !== other)
    const found = await Promise.all(asked.map((node) => node.isPrimary()))
    return asked[found.indexOf(true)]
  }
  const cluster: Cluster = {
    nodes,
    port,
    adminUrl: `postgresql://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`,
    primary,
    async healthy() {
      const isHealthy = async () => {
        const { members = [] } = await ask('/cluster')
        const roles = members
          .filter(({ state }: Member) => state === 'running' || state === 'streaming')
          .map(({ role }: Member) => role)
        return `${roles.sort()}` === 'leader,replica,sync_standby'
      }
      await eventually(() => isHealthy().catch(() => false), 'the cluster is healthy', 60_000)
    },
    async switchOver() {
      const leader = (await primary())!.name
      await ask('/switchover', { leader })
    }
  }
  await cluster.healthy()
  return cluster
}

/** Starts three etcd servers and returns their client ports. */
async function startEtcd(bed: Bed): Promise<number[]> {
  const addresses = new Map<string, number>()
  for (const number of [1, 2, 3]) {
    for (const port of [2379, 2380]) addresses.set(`10.0.0.1${number}:${port}`, await freePort())
  }
  const page = await fileOnPage('/etc/default/etcd')
  for (const number of [1, 2, 3]) {
    const text = page
      .replace(/^(ETCD_NAME)=.*/m, `$1=node${number}`)
      .replace(/^(ETCD_DATA_DIR)=.*/m, `$1=${bed.directory}/etcd${number}`)
      // ETCD_INITIAL_CLUSTER has the addresses of all nodes, the other lines have those of this node.
      .replaceAll(/^(?!ETCD_INITIAL_CLUSTER=)(.*)10\.0\.0\.11/gm, `$110.0.0.1${number}`)
      .replaceAll(/10\.0\.0\.1\d:\d+/g, (address) => `127.0.0.1:${addresses.get(address)}`)
    const env = Object.fromEntries(
      [...text.matchAll(/^(ETCD_\w+)=(.*)$/gm)].map(([, name, value]) => [name, value])
    )
    bed.start(`etcd${number}`, 'etcd', [], env)
  }
  const ports = [1, 2, 3].map((number) => addresses.get(`10.0.0.1${number}:2379`)!)
  // Patroni does not start before the etcd servers have formed a cluster.
  const agreed = async () => {
    const versions = await Promise.all(ports.map((port) => request(port, '/version')))
    return versions.every((version) => /^\d/.test(version?.etcdcluster))
  }
  await eventually(agreed, 'etcd is up', 30_000)
  return ports
}

const patroniConfig = async () => parse(await fileOnPage('/etc/patroni/config.yml'))

async function makeNode(t: Test, bed: Bed, name: string, etcdPort: number): Promise<Node> {
  const [postgresPort, patroniPort] = [await freePort(), await freePort()]
  const [postgres, patroni, etcd] = [
    await startWire(t, postgresPort),
    await startWire(t, patroniPort),
    await startWire(t, etcdPort)
  ]
  const data = join(bed.directory, name)
  const config = await patroniConfig()
  config.name = name
  Object.assign(config.restapi, {
    listen: `127.0.0.1:${patroniPort}`,
    connect_address: `127.0.0.1:${patroni.port}`
  })
  // With `use_proxies`, Patroni ignores the addresses that etcd advertises, which bypass the wire.
  config.etcd3 = { hosts: `127.0.0.1:${etcd.port}`, use_proxies: true }
  Object.assign(config.bootstrap.dcs, TIMES)
  Object.assign(config.postgresql, {
    listen: `127.0.0.1:${postgresPort}`,
    connect_address: `127.0.0.1:${postgres.port}`,
    data_dir: data,
    bin_dir: await findPostgres(),
    pgpass: join(bed.directory, `${name}.pgpass`),
    pg_hba: config.postgresql.pg_hba.map((line: string) => line.replace('10.0.0.0/24', '127.0.0.1/32'))
  })
  config.postgresql.parameters = { unix_socket_directories: bed.directory }
  const file = await bed.write(`${name}.yml`, stringify(config))
  const wires = [postgres, patroni, etcd]
  let running: Daemon
  return {
    name,
    ports: { postgres: postgres.port, patroni: patroni.port },
    isPrimary() {
      const asked = fetch(`http://127.0.0.1:${patroniPort}/primary`, { signal: AbortSignal.timeout(2_000) })
      return asked.then(
        ({ status }) => status === 200,
        () => false
      )
    },
    start() {
      running = bed.start(name, 'python3', ['-m', 'patroni', file], {
        PYTHONPATH: join(bed.directory, 'patroni')
      })
    },
    async kill() {
      const postmaster = Number((await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')[0])
      running.child.kill('SIGKILL')
      process.kill(postmaster, 'SIGKILL')
      await running.exited
    },
    freeze: () => running.child.kill('SIGSTOP'),
    thaw: () => running.child.kill('SIGCONT'),
    cut() {
      for (const wire of wires) wire.cut()
    },
    mend() {
      for (const wire of wires) wire.mend()
    }
  }
}

async function startHaproxy(bed: Bed, nodes: Node[]): Promise<number> {
  const port = await freePort()
  let text = (await fileOnPage('/etc/haproxy/haproxy.cfg')).replace(/bind \S+/, `bind 127.0.0.1:${port}`)
  for (const [index, { ports }] of nodes.entries()) {
    const address = `10.0.0.1${index + 1}:5432 port 8008`
    text = text.replace(address, `127.0.0.1:${ports.postgres} port ${ports.patroni}`)
  }
  bed.start('haproxy', 'haproxy', ['-db', '-f', await bed.write('haproxy.cfg', text)])
  return port
}

/**
 * Sends a request to Patroni or etcd, and returns its response. A GET returns undefined if it fails or takes
 * more than two seconds; a POST throws.
 */
// biome-ignore lint/suspicious/noExplicitAny: what came over the wire has no type here
async function request(port: number, path: string, body?: object): Promise<any> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(body ? 30_000 : 2_000)
    })
    const text = await answer.text()
    if (body && answer.status !== 200) throw new Error(`Patroni answers ${answer.status}: ${text}`)
    return text.startsWith('{') ? JSON.parse(text) : { text }
  } catch (error) {
    if (body) throw error
    return undefined
  }
}
