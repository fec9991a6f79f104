import { type Kysely, sql } from 'kysely'

// An owner who creates or renames a project holds its name: see docs/decisions/0024-held-project-names.md.
// Older replicas insert members who hold no name. When they rename a project, the foreign key does the rest.
const statements = [
  'alter table projects add constraint projects_name_key_id unique (name_key, id)',
  'alter table project_members add held_name_key text collate "C"',
  // Until now, whoever created a project became its owner in the same transaction. Of several projects with
  // one name, the oldest holds it, and the others keep theirs without holding it.
  `update project_members m set held_name_key = h.name_key
    from (
      select distinct on (o.user_id, p.name_key) o.user_id, p.id, p.name_key
      from project_members o join projects p on p.id = o.project_id
      where o.role = 'owner' and o.created_at = p.created_at
      order by o.user_id, p.name_key, p.created_at, p.id) h
    where m.user_id = h.user_id and m.project_id = h.id`,
  `alter table project_members add constraint project_members_held_name_fkey
    foreign key (held_name_key, project_id) references projects (name_key, id)
    on update cascade on delete cascade`,
  `create unique index project_members_held_name on project_members (user_id, held_name_key)
    where role = 'owner'`,
  'create index project_members_name_project on project_members (held_name_key, project_id)'
]

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
