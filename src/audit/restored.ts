import type { Database } from '../db/database.ts'
import { uuidv7 } from '../ids.ts'
import { insertEventRows } from './event-repository.ts'
import { systemOrigin } from './record.ts'

/** Records that the database was restored from a backup that this version made at this time. */
export function recordRestore(db: Database, details: { createdAt: string; version: string }) {
  return insertEventRows(db, [
    {
      id: uuidv7(),
      action: 'database.restored',
      outcome: 'allowed',
      ...systemOrigin('command line'),
      target_type: null,
      target_id: null,
      target_name: null,
      owner_id: null,
      project_id: null,
      details
    }
  ])
}
