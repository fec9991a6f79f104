import { v7 } from 'uuid'

/** Returns a new UUIDv7 (RFC 9562). Later ids sort later. */
export function uuidv7(): string {
  return v7()
}
