import type { Static } from '@sinclair/typebox'
import type { Database } from '../../db/database.ts'
import { uuidv7 } from '../../ids.ts'
import type { FieldRow, TypeRow } from './repository.ts'
import type { NewCredentialType } from './schema.ts'
import { insertType } from './write-repository.ts'

/** Creates a type of the owner's with these fields, which `newFields` made. Throws NameTaken. */
export async function createType(
  db: Database,
  ownerId: string,
  { typeName, description = null }: Pick<Static<typeof NewCredentialType>, 'typeName' | 'description'>,
  fields: FieldRow[]
): Promise<TypeRow> {
  const type = { id: uuidv7(), type_name: typeName, description, owner_id: ownerId }
  return { ...type, ...(await insertType(db, type, fields)), fields, usage_count: 0 }
}
