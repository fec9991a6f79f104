import { sql } from 'kysely'
import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { newCredential, newType } from '../../helpers/fixtures.ts'

const TABLES = ['credentials', 'credential_keys', 'credential_environments', 'credential_totals']
const PATHS = [
  '/api/v1/app-credentials',
  '/api/v1/app-credentials?page=2',
  '/api/v1/app-credentials?search=credential',
  '/api/v1/app-credentials?sort=name',
  '/api/v1/app-credentials?sort=-expiresAt',
  '/api/v1/app-credentials?sort=updatedAt',
  '/api/v1/app-credentials?expiresBefore=2099-01-01T00:00:00Z&sort=expiresAt',
  '/api/v1/app-credentials?updatedSince=2020-01-01T00:00:00Z'
]

t.test('the cost of a page does not depend on credentials of others', async (t) => {
  const service = await startTestApp(t, { LOG_LEVEL: 'warn' })
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  for (let i = 0; i < 60; i++) await newCredential(ann, type)
  // Autovacuum would add to the counted blocks.
  for (const table of TABLES)
    await sql`alter table ${sql.table(table)} set (autovacuum_enabled = false)`.execute(service.db)

  /** Counts the blocks of the tables and indexes that were read. Sessions report theirs when they end. */
  async function blocks() {
    await sql`select pg_terminate_backend(pid, 10000) from pg_stat_activity
              where datname = current_database() and pid <> pg_backend_pid()
                and backend_type = 'client backend'`.execute(service.db)
    const { rows } = await sql<{ blocks: string }>`
      select sum(coalesce(heap_blks_read, 0) + coalesce(heap_blks_hit, 0)
               + coalesce(idx_blks_read, 0) + coalesce(idx_blks_hit, 0)) as blocks
      from pg_statio_user_tables
      where relname = any(${TABLES})
    `.execute(service.db)
    return Number(rows[0]!.blocks)
  }

  /** Returns the blocks that each request reads. Unlike times, they do not depend on the machine. */
  async function blocksOfEach() {
    await service.db.connection().execute(async (db) => {
      await sql`vacuum analyze credentials, credential_keys, credential_environments`.execute(db)
      await sql`select pg_stat_force_next_flush()`.execute(db)
    })
    const result: Record<string, number> = {}
    for (const path of PATHS) {
      const from = await blocks()
      for (let i = 0; i < 20; i++) await ann.get(path)
      const between = await blocks()
      result[path] = (between - from) / 20
      // Concurrent requests share statements, which have other plans.
      for (let i = 0; i < 3; i++) await Promise.all(Array.from({ length: 8 }, () => ann.get(path)))
      result[`${path}, concurrently`] = ((await blocks()) - between) / 24
    }
    return result
  }

  const before = await blocksOfEach()
  for (let batch = 0; batch < 20; batch++) {
    await sql`with made as (
        insert into credentials (id, owner_id, type_id, name, name_key, created_at)
        select gen_random_uuid(), ${bob.person.id}::uuid, ${type.id}::uuid, 'credential ' || i,
          'credential ' || i, now() - i * interval '1 second'
        from generate_series(${batch * 5000 + 1}::int, ${batch * 5000 + 5000}::int) i returning id)
      insert into credential_environments (credential_id, name) select id, 'main' from made`.execute(
      service.db
    )
  }
  const after = await blocksOfEach()
  for (const path of Object.keys(before)) {
    t.comment(`${path}: ${before[path]} blocks, then ${after[path]}`)
    t.ok(before[path]! > 1 && after[path]! < before[path]! + 100, path)
  }
  t.equal((await bob.get('/api/v1/app-credentials?page=5000')).json.data.length, 20)
})
