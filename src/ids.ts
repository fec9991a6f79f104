import { v7 } from 'uuid'

/** Matches an id as Postgres writes it. */
export const ID_LENGTH = 36

/** Returns a new UUIDv7 (RFC 9562). Later ids sort later. */
export function uuidv7(): string {
  return v7()
}
