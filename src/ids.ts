import { v7 } from 'uuid'

/** A new id: UUIDv7 (RFC 9562), so that ids made later sort later. */
export function uuidv7(): string {
  return v7()
}
