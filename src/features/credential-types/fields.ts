import { isDeepStrictEqual } from 'node:util'
import type { Static } from '@sinclair/typebox'
import type { FieldType } from '../../db/tables.ts'
import { type InputError, ValidationFailed } from '../../http/problems.ts'
import { uuidv7 } from '../../ids.ts'
import { refuseFlaws } from './field-flaws.ts'
import type { FieldRow } from './repository.ts'
import type { CredentialTypeFieldChange, NewCredentialTypeField } from './schema.ts'

type NewField = Static<typeof NewCredentialTypeField>
type FieldChange = Static<typeof CredentialTypeFieldChange>

const SHOWN = new Set<FieldType>(['boolean', 'number', 'select', 'url', 'email'])

/** The rows of a new type's fields. Throws ValidationFailed. */
export function newFields(entries: readonly NewField[]): FieldRow[] {
  const fields = entries.map(newField)
  refuseFlaws(fields)
  return fields
}

function newField(entry: NewField, position: number): FieldRow {
  return {
    id: uuidv7(),
    field_name: entry.fieldName,
    field_label: entry.fieldLabel,
    field_type: entry.fieldType,
    required: entry.required ?? true,
    secret: entry.secret ?? !SHOWN.has(entry.fieldType),
    description: entry.description ?? null,
    default_value: entry.defaultValue ?? null,
    options: entry.options ?? null,
    pattern: entry.pattern ?? null,
    position
  }
}

const kept = <T>(given: T | undefined, had: T): T => (given === undefined ? had : given)

function changedField(entry: FieldChange, had: FieldRow, position: number): FieldRow {
  return {
    id: had.id,
    field_name: kept(entry.fieldName, had.field_name),
    field_label: kept(entry.fieldLabel, had.field_label),
    field_type: kept(entry.fieldType, had.field_type),
    required: kept(entry.required, had.required),
    secret: kept(entry.secret, had.secret),
    description: kept(entry.description, had.description),
    default_value: kept(entry.defaultValue, had.default_value),
    options: kept(entry.options, had.options),
    pattern: kept(entry.pattern, had.pattern),
    position
  }
}

/** What a new list of fields means for those that a type has. */
export interface FieldChanges {
  /** Inserted, or changed in whatever way. */
  saved: FieldRow[]
  removed: FieldRow[]
  /** Right only while they have no value anywhere. */
  emptied: FieldRow[]
  /** Right only while every credential of the type has a value for them. */
  filled: FieldRow[]
}

/** Throws ValidationFailed. */
export function changesOf(had: readonly FieldRow[], entries: readonly FieldChange[]): FieldChanges {
  const byId = new Map(had.map((field) => [field.id, field]))
  const fields = merged(byId, entries)
  refuseFlaws(fields)
  const staying = new Set(fields.map((field) => field.id))
  return {
    saved: fields.filter((field) => !isDeepStrictEqual(field, byId.get(field.id))),
    removed: had.filter((field) => !staying.has(field.id)),
    emptied: fields.filter((field) => unfitsValues(byId.get(field.id), field)),
    filled: fields.filter((field) => field.required && !byId.get(field.id)?.required)
  }
}

function unfitsValues(had: FieldRow | undefined, field: FieldRow): boolean {
  if (!had) return false
  const lostOption = had.options?.some((option) => !field.options?.includes(option)) ?? false
  // What was typed in as a secret must not come into sight of a project's members.
  return had.field_type !== field.field_type || (had.secret && !field.secret) || lostOption
}

function merged(had: ReadonlyMap<string, FieldRow>, entries: readonly FieldChange[]): FieldRow[] {
  const errors: InputError[] = []
  const seen = new Set<string>()
  const refuse = (index: number, property: string, code: string, message: string) =>
    errors.push({ path: `/body/fields/${index}/${property}`, code, message })
  const fields = entries.flatMap((entry, position): FieldRow[] => {
    if (entry.id === undefined) {
      if (isWhole(entry)) return [newField(entry, position)]
      for (const property of REQUIRED) {
        if (entry[property] === undefined)
          refuse(position, property, 'required', 'This is required of a new field.')
      }
      return []
    }
    const id = entry.id.toLowerCase()
    const field = had.get(id)
    if (!field) refuse(position, 'id', 'unknown-field', 'The type has no field of this id.')
    else if (seen.has(id)) refuse(position, 'id', 'repeated', 'This field is there twice.')
    seen.add(id)
    return field ? [changedField(entry, field, position)] : []
  })
  if (errors.length > 0) throw new ValidationFailed({ errors })
  return fields
}

const REQUIRED = ['fieldName', 'fieldLabel', 'fieldType'] as const

function isWhole(entry: FieldChange): entry is FieldChange & NewField {
  return REQUIRED.every((property) => entry[property] !== undefined)
}
