import { type Kysely, sql } from 'kysely'

const ROWS = 1_000

// Sets the missing labels, in batches by primary key.
export async function batch(db: Kysely<unknown>, after = '00000000-0000-0000-0000-000000000000') {
  const { rows } = await sql<{ id: string }>`
    with chosen as (
      select id from credentials where id > ${after} and label is null order by id limit ${ROWS} for update)
    update credentials c set label = c.name from chosen where c.id = chosen.id returning c.id`.execute(db)
  const ids = rows.map(({ id }) => id).sort()
  return ids.length < ROWS ? undefined : ids.at(-1)
}
