import pg from 'pg'

/** The superuser that initdb creates. It only creates the database and the other roles. */
export const SUPERUSER = 'latchkey'
/** Owns the database and its tables: migrations. */
export const OWNER = 'latchkey_owner'
/** Serves requests, with the rights that `db/grants.ts` lists. */
export const SERVICE = 'latchkey_service'

const PLAIN = 'login nosuperuser nocreatedb nocreaterole noreplication nobypassrls'

// In earlier versions, the superuser owned the tables. Indexes and the sequences of columns belong to the
// owner of their table.
const TAKE_OVER = `do $$
declare statement text;
begin
  for statement in
    select format('alter table %s owner to ${OWNER}', c.oid::regclass) from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
        and c.relowner = '${SUPERUSER}'::regrole
        and not exists (select from pg_depend d where d.objid = c.oid and d.classid = 'pg_class'::regclass
          and d.deptype in ('a', 'e', 'i') and (d.deptype = 'e' or c.relkind = 'S'))
    union all
    select format('alter routine %s owner to ${OWNER}', p.oid::regprocedure) from pg_proc p
      where p.pronamespace = 'public'::regnamespace and p.proowner = '${SUPERUSER}'::regrole
        and not exists (select from pg_depend d where d.objid = p.oid and d.classid = 'pg_proc'::regclass
          and d.deptype = 'e')
  loop
    execute statement;
  end loop;
end $$`

/**
 * Creates the database and the missing roles, and makes the owner role the owner of the superuser's objects.
 */
export async function prepareRoles(superuser: pg.ClientConfig, database: string): Promise<void> {
  await withClient({ ...superuser, database: 'postgres' }, async (client) => {
    for (const role of [OWNER, SERVICE]) {
      const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role])
      await client.query(`${rowCount ? 'alter' : 'create'} role ${role} ${PLAIN}`)
    }
    const { rowCount } = await client.query('select from pg_database where datname = $1', [database])
    if (!rowCount) await client.query(`create database ${database} owner ${OWNER}`)
    await client.query(`alter database ${database} owner to ${OWNER}`)
  })
  await withClient({ ...superuser, database }, (client) => client.query(TAKE_OVER))
}

async function withClient(config: pg.ClientConfig, work: (client: pg.Client) => Promise<unknown>) {
  const client = new pg.Client({ ...config, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await work(client)
  } finally {
    await client.end()
  }
}

export async function canConnect(config: pg.ClientConfig): Promise<boolean> {
  return withClient(config, (client) => client.query('select')).then(
    () => true,
    () => false
  )
}
