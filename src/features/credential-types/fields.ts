import { isDeepStrictEqual } from 'node:util'
import type { Static } from '@sinclair/typebox'
import type { FieldConstraints, FieldType } from '../../db/tables.ts'
import type { InputError, InputErrorCode } from '../../http/problems.ts'
import { uuidv7 } from '../../ids.ts'
import type { CredentialTypeFieldCreate, CredentialTypeFieldUpdate } from './field-schema.ts'
import { assertValidFields } from './field-validation.ts'
import type { FieldRow } from './repository.ts'

type NewField = Static<typeof CredentialTypeFieldCreate>
type FieldChange = Static<typeof CredentialTypeFieldUpdate>

/** Types whose fields are not secret by default. */
const PUBLIC = new Set<FieldType>(['boolean', 'number', 'select', 'url', 'email'])

/** Returns the rows of a new type's fields. Throws ValidationFailed. */
export function newFields(entries: readonly NewField[]): FieldRow[] {
  const fields = entries.map(newField)
  assertValidFields(fields)
  return fields
}

function newField(entry: NewField, position: number): FieldRow {
  return {
    id: uuidv7(),
    field_name: entry.fieldName,
    field_label: entry.fieldLabel,
    field_type: entry.fieldType,
    required: entry.required ?? true,
    secret: entry.secret ?? !PUBLIC.has(entry.fieldType),
    description: entry.description ?? null,
    default_value: jsonOf(entry.defaultValue) ?? null,
    options: entry.options ?? null,
    pattern: entry.pattern ?? null,
    constraints: constraintsOf(entry) ?? null,
    position
  }
}

/** Returns the value as JSON text; null and undefined unchanged. */
const jsonOf = (value: unknown) => (value === null || value === undefined ? value : JSON.stringify(value))

/** Returns undefined if the entry has no constraints, and null if they are empty. */
function constraintsOf({ constraints }: FieldChange): FieldConstraints | null | undefined {
  return constraints && Object.keys(constraints).length === 0 ? null : constraints
}

function changedField(entry: FieldChange, previous: FieldRow, position: number): FieldRow {
  const or = <T>(value: T | undefined, previous: T): T => (value === undefined ? previous : value)
  return {
    id: previous.id,
    field_name: or(entry.fieldName, previous.field_name),
    field_label: or(entry.fieldLabel, previous.field_label),
    field_type: or(entry.fieldType, previous.field_type),
    required: or(entry.required, previous.required),
    secret: or(entry.secret, previous.secret),
    description: or(entry.description, previous.description),
    default_value: or(jsonOf(entry.defaultValue), previous.default_value),
    options: or(entry.options, previous.options),
    pattern: or(entry.pattern, previous.pattern),
    constraints: or(constraintsOf(entry), previous.constraints),
    position
  }
}

/** The difference between the fields of a type and a new list of them. */
interface FieldDiff {
  /** New or changed. */
  saved: FieldRow[]
  removed: FieldRow[]
  /** Allowed only if no credential has a value for them. */
  mustBeEmpty: FieldRow[]
  /** Allowed only if no credential of another user than the caller has a value for them. */
  mustBeOwn: FieldRow[]
  /** Allowed only if every credential of the type has a value for them. */
  mustBeFilled: FieldRow[]
}

/** Compares the fields with the entries of an update. Throws ValidationFailed. */
export function diffFields(previous: readonly FieldRow[], entries: readonly FieldChange[]): FieldDiff {
  const byId = new Map(previous.map((field) => [field.id, field]))
  const errors: InputError[] = []
  const fields = mergeFields(byId, entries, errors)
  assertValidFields(fields, errors)
  const ids = new Set(fields.map((field) => field.id))
  return {
    saved: fields.filter((field) => !isDeepStrictEqual(field, byId.get(field.id))),
    removed: previous.filter((field) => !ids.has(field.id)),
    mustBeEmpty: fields.filter((field) => invalidatesValues(byId.get(field.id), field)),
    mustBeOwn: fields.filter((field) => changesMeaning(byId.get(field.id), field)),
    mustBeFilled: fields.filter((field) => field.required && !byId.get(field.id)?.required)
  }
}

function invalidatesValues(previous: FieldRow | undefined, field: FieldRow): boolean {
  if (!previous) return false
  const lostOption = previous.options?.some((option) => !field.options?.includes(option)) ?? false
  // A value that was entered as a secret must not become visible to members of a project.
  const disclosed = previous.secret && !field.secret
  return previous.field_type !== field.field_type || disclosed || lostOption
}

/**
 * True if the values of the field would be returned under another name, or become secret or not secret.
 * Programs rely on both.
 */
function changesMeaning(previous: FieldRow | undefined, field: FieldRow): boolean {
  return !!previous && (previous.field_name !== field.field_name || previous.secret !== field.secret)
}

/**
 * Returns the fields that the entries describe. An entry without an id changes the field with its name,
 * unless another entry has the id of that field. Otherwise it is a new field. Adds an error for each invalid
 * entry.
 */
function mergeFields(
  previous: ReadonlyMap<string, FieldRow>,
  entries: readonly FieldChange[],
  errors: InputError[]
): FieldRow[] {
  const ids = new Set(entries.map(({ id }) => id?.toLowerCase()))
  const others = [...previous.values()].filter(({ id }) => !ids.has(id))
  const byName = new Map(others.map((field) => [field.field_name, field]))
  const seen = new Set<string>()
  const refuse = (index: number, property: string, code: InputErrorCode, message: string) =>
    errors.push({ path: `/body/fields/${index}/${property}`, code, message })
  return entries.flatMap((entry, position): FieldRow[] => {
    const id = entry.id?.toLowerCase() ?? byName.get(entry.fieldName ?? '')?.id
    if (id === undefined) {
      if (isComplete(entry)) return [newField(entry, position)]
      for (const property of REQUIRED) {
        if (entry[property] === undefined)
          refuse(position, property, 'required', 'This is required for a new field.')
      }
      return []
    }
    const field = previous.get(id)
    const property = entry.id === undefined ? 'fieldName' : 'id'
    if (!field) refuse(position, 'id', 'unknown-field', 'The type has no field with this id.')
    else if (seen.has(id)) refuse(position, property, 'repeated', 'This field occurs more than once.')
    seen.add(id)
    return field ? [changedField(entry, field, position)] : []
  })
}

const REQUIRED = ['fieldName', 'fieldLabel', 'fieldType'] as const

function isComplete(entry: FieldChange): entry is FieldChange & NewField {
  return REQUIRED.every((property) => entry[property] !== undefined)
}
