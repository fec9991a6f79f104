import type pg from 'pg'
import { withClient } from './postgres.ts'

const AT_ONCE = 10_000

/** Inserts events like those of a resolve: who read which credential, and which fields. */
export async function insertEvents(client: pg.Client, count: number): Promise<void> {
  await client.query({
    name: 'insert',
    text: `insert into audit_log (id, action, outcome, actor_type, actor_id, actor_name,
        target_type, target_id, target_name, owner_id, project_id, ip, user_agent, request_id, details)
      select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')
          || '7' || substr(md5(n::text || random()), 1, 3)
          || '8' || substr(md5(n::text || random()), 1, 15))::uuid,
        'credential.resolved', 'allowed', 'project-token', gen_random_uuid(), 'runner ' || n % 50,
        'credential', gen_random_uuid(), 'credential ' || n, gen_random_uuid(), gen_random_uuid(),
        '10.0.0.1', 'node', md5(n::text),
        '{"environment": "main", "revision": 2, "sealedRevision": 2, "fields": ["host", "password"]}'
      from generate_series(1, $1::int) n`,
    values: [count]
  })
}

/** Inserts `count` unsealed events. */
export function fill(url: string, count: number): Promise<void> {
  return withClient(url, async (client) => {
    for (let done = 0; done < count; done += AT_ONCE)
      await insertEvents(client, Math.min(AT_ONCE, count - done))
    await client.query('vacuum analyze')
  })
}
