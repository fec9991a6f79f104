import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { audit } from './areas/audit.ts'
import { BEHIND_PROXY, behind } from './areas/behind.ts'
import { credentials } from './areas/credentials.ts'
import { endings } from './areas/endings.ts'
import { lightning } from './areas/lightning.ts'
import { open } from './areas/open.ts'
import { projects } from './areas/projects.ts'
import { refusals } from './areas/refusals.ts'
import { resolve } from './areas/resolve.ts'
import { session } from './areas/session.ts'
import { tokens } from './areas/tokens.ts'
import { types, typesInUse } from './areas/types.ts'
import { users } from './areas/users.ts'
import { values } from './areas/values.ts'
import { type Contract, gapsOf, operationsOf } from './coverage.ts'
import { Recorder } from './recorder.ts'
import { createDatabase, startService } from './service.ts'
import { ADMIN_EMAIL, PASSWORD } from './world.ts'

const CONTRACT = join(import.meta.dirname, '../../openapi.yaml')

/**
 * Calls every operation of a new service. Returns the answers, and the gaps in the coverage. `through` may
 * return another URL for the service's database, such as that of a proxy.
 */
export async function record(
  through = (databaseUrl: string) => databaseUrl
): Promise<{ recorder: Recorder; gaps: string[] }> {
  const contract = await readFile(CONTRACT, 'utf8')
  const operations = operationsOf(parse(contract) as Contract)
  const database = await createDatabase()
  const env = {
    DATABASE_URL: through(database.url),
    LATCHKEY_ROOT_KEYS: `golden:${Buffer.alloc(32, 7).toString('base64')}`,
    LATCHKEY_ADMIN_EMAIL: ADMIN_EMAIL,
    LATCHKEY_ADMIN_PASSWORD: PASSWORD
  }
  const running = [await startService(env)]
  try {
    const recorder = new Recorder(running[0]!.origin)
    recorder.normaliser.contract(contract, parse(contract))
    await open(recorder)
    const { admin, id } = await session(recorder)
    const world = await users(recorder, admin, id)
    for (const area of [projects, tokens, types, credentials, values, resolve, lightning, typesInUse])
      await area(recorder, world)
    await refusals(recorder, world, operations)
    await endings(recorder, world)
    await audit(recorder, world)
    running.push(await startService({ ...env, ...BEHIND_PROXY }))
    await behind(recorder, running[1]!)
    return { recorder, gaps: gapsOf(operations, recorder.seen) }
  } finally {
    await Promise.all(running.map((service) => service.stop()))
    await database.drop()
  }
}
