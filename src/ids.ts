import { v7 } from 'uuid'

/** Of an id, as Postgres writes it. */
export const ID_LENGTH = 36

/** A new id: UUIDv7 (RFC 9562), so that ids made later sort later. */
export function uuidv7(): string {
  return v7()
}
