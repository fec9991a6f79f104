import { existsSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { newRootKey } from '../../src/root-keys/local.ts'
import { eventually } from '../helpers/eventually.ts'
import { newCredential, newType, reveal } from '../helpers/fixtures.ts'
import { freePort } from '../helpers/free-port.ts'
import { query } from '../helpers/standby.ts'
import { type Bed, makeBed } from './bed.ts'
import { fileOnPage } from './page.ts'
import { findPostgres } from './patroni.ts'
import { serviceIn } from './replicas.ts'

t.setTimeout(300_000)

const PAGE = 'backups.md'
const programs = await findPostgres()

/** Returns a file on the page, with the WAL archive in the bed. */
async function onPage(bed: Bed, name: string): Promise<string> {
  return (await fileOnPage(name, PAGE)).replaceAll('/srv/wal', join(bed.directory, 'wal'))
}

/** Starts Postgres on a data directory, and waits until it accepts writes. */
async function startPostgres(bed: Bed, data: string) {
  const port = await freePort()
  const settings = { port, listen_addresses: '127.0.0.1', unix_socket_directories: '', fsync: 'off' }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = bed.start(`postgres-${port}`, join(programs!, 'postgres'), ['-D', data, ...args])
  const urlOf = (database: string) => `postgresql://postgres@127.0.0.1:${port}/${database}`
  const isUp = async () => {
    const [row] = await query(urlOf('postgres'), 'select pg_is_in_recovery() as recovering')
    return row.recovering === false
  }
  await eventually(() => isUp().catch(() => false), 'Postgres is writable', 60_000).catch(async (error) => {
    throw new Error(await server.output(), { cause: error })
  })
  return {
    port,
    url: urlOf('latchkey'),
    adminUrl: urlOf('postgres'),
    async kill() {
      server.child.kill('SIGQUIT')
      await server.exited
    }
  }
}

const HEAD = /Head: (\d+) ([0-9a-f]{64})/

t.test('a database is recovered to a point in time', { skip: !programs && 'no Postgres' }, async (t) => {
  const bed = await makeBed(t)
  const [data, recovered] = [join(bed.directory, 'data'), join(bed.directory, 'base')]
  await bed.makeDirectory('wal')
  const initdb = ['-D', data, '-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--no-sync']
  await bed.run(join(programs!, 'initdb'), initdb)
  await appendFile(join(data, 'postgresql.conf'), await onPage(bed, 'postgresql.conf'))
  const primary = await startPostgres(bed, data)
  await query(primary.adminUrl, 'create database latchkey')
  const { run, start } = await serviceIn(t, bed)
  const [oldKey, newKey] = [newRootKey('old'), newRootKey('new')]
  const verify = async (url: string) => {
    const command = run({ DATABASE_URL: url, LATCHKEY_ROOT_KEYS: oldKey }, 'audit', 'verify')
    t.equal(await command.exited, 0, command.output())
    return command.output()
  }
  /** Waits until all events are sealed, and returns the head of the chain. */
  const head = async (t: Test, url: string) => {
    let output = ''
    await eventually(async () => {
      output = await verify(url)
      return / 0 are not sealed/.test(output)
    }, 'all events are sealed')
    const [, position, hash] = HEAD.exec(output)!
    t.ok(Number(position) > 0)
    return { position: Number(position), hash: hash! }
  }

  const before = await start(primary.url, { LATCHKEY_ROOT_KEYS: oldKey })
  const type = await newType(before.admin)
  const inBase = await newCredential(before.admin, type)
  const basebackup = ['--pgdata', recovered, '--checkpoint=fast', '--no-sync']
  const address = ['-h', '127.0.0.1', '-p', String(primary.port), '-U', 'postgres']
  await bed.run(join(programs!, 'pg_basebackup'), [...basebackup, ...address])
  const inWal = await newCredential(before.admin, type)
  const noted = await head(t, primary.url)
  const [{ target }] = await query(primary.url, 'select clock_timestamp()::text as target')

  // After the target time, another root key becomes the current one.
  before.running.child.kill('SIGTERM')
  await before.running.exited
  const after = await start(primary.url, { LATCHKEY_ROOT_KEYS: `${newKey},${oldKey}` })
  const lost = await newCredential(after.admin, type)
  const gone = await head(t, primary.url)
  const [{ file }] = await query(primary.url, 'select pg_walfile_name(pg_switch_wal()) as file')
  await eventually(async () => existsSync(join(bed.directory, 'wal', file)), 'the WAL is archived', 30_000)
  after.running.child.kill('SIGTERM')
  await after.running.exited
  await primary.kill()

  const lines = await onPage(bed, 'postgresql.auto.conf')
  const conf = lines.replace(/recovery_target_time = .*/, `recovery_target_time = '${target}'`)
  await appendFile(join(recovered, 'postgresql.auto.conf'), conf)
  await bed.write('base/recovery.signal', '')
  const server = await startPostgres(bed, recovered)

  const kept = HEAD.exec(await verify(server.url))!
  t.equal(Number(kept[1]), noted.position, 'the chain ends where it did at the target time')
  t.equal(kept[2], noted.hash)

  const wrong = run({ DATABASE_URL: server.url, LATCHKEY_ROOT_KEYS: newKey })
  t.equal(await wrong.exited, 1)
  t.match(wrong.output(), /must contain the root key .*needed [0-9a-f]{16}; given/)
  const service = await start(server.url, { LATCHKEY_ROOT_KEYS: `${newKey},${oldKey}` })
  for (const { id } of [inBase, inWal])
    t.match(await reveal(service.admin, id), { password: 'hunter2 hunter2' })
  t.equal((await service.admin.get(`/api/v1/app-credentials/${lost.id}`)).status, 404)
  while ((await head(t, server.url)).position < gone.position) await newCredential(service.admin, type)
  const later = await head(t, server.url)
  t.not(later.hash, gone.hash, 'a head from after the target time is not part of the chain')
  const verifyFrom = async (from: { position: number; hash: string }) => {
    const words = ['audit', 'verify', '--from', `${from.position}:${from.hash}`]
    const command = run({ DATABASE_URL: server.url, LATCHKEY_ROOT_KEYS: `${newKey},${oldKey}` }, ...words)
    return { code: await command.exited, output: command.output() }
  }
  t.match(await verifyFrom(noted), { code: 0 })
  t.match(await verifyFrom(gone), { code: 1, output: /the chain differs from the given head/ })
})
