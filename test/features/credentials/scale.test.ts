import { sql } from 'kysely'
import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { newCredential, newType } from '../../helpers/things.ts'

const PATHS = [
  '/api/v1/app-credentials',
  '/api/v1/app-credentials?page=2',
  '/api/v1/app-credentials?search=credential'
]

t.test('a page costs the same however many credentials others have', async (t) => {
  const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  for (let i = 0; i < 60; i++) await newCredential(ann, type)

  async function timeOf(path: string) {
    const start = performance.now()
    await ann.get(path)
    return performance.now() - start
  }
  const median = (times: number[]) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!

  /** In times of a request that has nothing to do with credentials, sent just before: so that the machine's own pace cancels out. */
  async function medians() {
    await sql`vacuum analyze credentials, credential_keys, credential_environments`.execute(service.db)
    const result: Record<string, number> = {}
    for (const path of PATHS) {
      const [control, times]: [number[], number[]] = [[], []]
      for (let i = 0; i < 60; i++) {
        control.push(await timeOf('/api/v1/session'))
        times.push(await timeOf(path))
      }
      result[path] = median(times) / median(control)
    }
    return result
  }

  const before = await medians()
  for (let batch = 0; batch < 20; batch++) {
    await sql`with made as (
        insert into credentials (id, owner_id, type_id, name, created_at)
        select gen_random_uuid(), ${bob.person.id}::uuid, ${type.id}::uuid, 'credential ' || i, now() - i * interval '1 second'
        from generate_series(${batch * 5000 + 1}::int, ${batch * 5000 + 5000}::int) i returning id)
      insert into credential_environments (credential_id, name) select id, 'main' from made`.execute(
      service.db
    )
  }
  const after = await medians()
  for (const path of PATHS) {
    t.comment(`${path}: ${before[path]!.toFixed(2)} times, then ${after[path]!.toFixed(2)}`)
    // A scan of the hundred thousand would cost ten times and more; the rest is this machine's noise.
    t.ok(after[path]! < before[path]! * 2, path)
  }
  t.equal((await bob.get('/api/v1/app-credentials?page=5000')).json.data.length, 20)
})
