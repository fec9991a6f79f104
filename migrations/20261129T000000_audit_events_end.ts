import { type Kysely, sql } from 'kysely'

// `audit_events` becomes the first partition of the log: with the ids until a day about a month from now, so
// that version 1.0.0, which writes to this table by its name, may run beside later versions for that long.
const DAYS = 31

const statements = [
  // Ids are UUIDv7: they begin with a time in milliseconds.
  `create function audit_time_of(id uuid) returns timestamptz language sql immutable as $$
    select to_timestamp(('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint / 1000.0)
  $$`,
  `create function audit_id_of(at timestamptz) returns uuid language sql immutable as $$
    select case when ms < 1::bigint << 48 then lpad(to_hex(ms), 12, '0') || repeat('0', 20)
        else repeat('f', 32) end::uuid
      from (select (extract(epoch from at) * 1000)::bigint as ms) time
  $$`
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
  // The ids of a clock that ran ahead may be later.
  const { rows } = await sql<{ end: string }>`
    select audit_id_of((date_trunc('day', greatest(now() + make_interval(days => ${DAYS - 1}),
        (select audit_time_of(id) from audit_events order by id desc limit 1)) at time zone 'UTC')
      + interval '1 day') at time zone 'UTC') as end`.execute(db)
  await sql
    .raw(`alter table audit_events add constraint audit_events_end check (id < '${rows[0]!.end}') not valid`)
    .execute(db)
}
