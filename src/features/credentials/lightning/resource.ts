import type { Static } from '@sinclair/typebox'
import type { LightningRow } from './repository.ts'
import type { Credential } from './schema.ts'

export function toCredential(row: LightningRow): Static<typeof Credential> {
  return {
    id: row.id,
    name: row.name,
    schema: row.lightning_schema ?? row.type_name,
    external_id: row.external_id,
    user_id: row.owner_id,
    project_credentials: row.links.map((link) => ({
      id: link.id,
      project_id: link.projectId,
      credential_id: row.id,
      inserted_at: withoutMilliseconds(new Date(link.createdAt)),
      // Links are never updated.
      updated_at: withoutMilliseconds(new Date(link.createdAt))
    })),
    projects: row.links.map(({ projectId, name, description }) => ({ id: projectId, name, description })),
    inserted_at: withoutMilliseconds(row.created_at),
    updated_at: withoutMilliseconds(row.updated_at)
  }
}

const withoutMilliseconds = (time: Date) => time.toISOString().replace(/\.\d{3}Z$/, 'Z')
