// format (1) ‖ data key number (4, big-endian) ‖ nonce (12) ‖ ciphertext ‖ tag (16)
import { createSecretKey, type KeyObject } from 'node:crypto'
import { inspect } from 'node:util'
import { DecryptionFailed, framed, NONCE_BYTES, open, seal, TAG_BYTES } from './aead.ts'
import { deriveKey } from './derive.ts'

const FORMAT = 1
const HEADER_BYTES = 5
const SHORTEST = HEADER_BYTES + NONCE_BYTES + TAG_BYTES

/** What a credential's values are bound to, besides their field. */
export interface ValueContext {
  credentialId: string
  environment: string
  sealedRevision: number
}

/** Seals and opens under one derived key; `bind` names what the sealed bytes belong to. */
export interface Box {
  seal(bind: readonly string[], plaintext: Buffer): Buffer
  /** Throws DecryptionFailed for bytes that were sealed elsewhere, for something else, or changed since. */
  open(bind: readonly string[], sealed: Buffer): Buffer
}

/** The data keys, unwrapped. New values are sealed under the current one, old ones open under theirs. */
export class Keyring {
  readonly current: number
  readonly #keys: ReadonlyMap<number, KeyObject>

  constructor(keys: ReadonlyMap<number, Buffer>, current: number) {
    if (!keys.has(current)) throw new RangeError('the current data key is not among the keys')
    this.#keys = new Map([...keys].map(([number, key]) => [number, createSecretKey(key)]))
    this.current = current
  }

  /** The box of one credential's values in one environment at one sealed revision; `bind` is the field's id. */
  values({ credentialId, environment, sealedRevision }: ValueContext): Box {
    return this.#box('latchkey/value-key/v1', [credentialId, environment, String(sealedRevision)])
  }

  /** The box of the answer that is kept for one principal's idempotency key. */
  answers(principal: string, key: string): Box {
    return this.#box('latchkey/idempotent-answer/v1', [principal, key])
  }

  #box(label: string, context: readonly string[]): Box {
    const derived = new Map<number, KeyObject>()
    const keyOf = (number: number) => {
      const known = derived.get(number)
      if (known) return known
      const dataKey = this.#keys.get(number)
      if (!dataKey) throw new DecryptionFailed()
      const key = deriveKey(dataKey, label, context)
      derived.set(number, key)
      return key
    }
    return {
      seal: (bind, plaintext) => {
        const header = headerOf(this.current)
        return Buffer.concat([header, seal(keyOf(this.current), plaintext, bound(header, context, bind))])
      },
      open: (bind, sealed) => {
        if (sealed.length < SHORTEST || sealed[0] !== FORMAT) throw new DecryptionFailed()
        const header = sealed.subarray(0, HEADER_BYTES)
        const key = keyOf(dataKeyOf(sealed))
        return open(key, sealed.subarray(HEADER_BYTES), bound(header, context, bind))
      }
    }
  }

  toJSON() {
    return { current: this.current, numbers: [...this.#keys.keys()] }
  }

  [inspect.custom]() {
    return `Keyring ${JSON.stringify(this)}`
  }
}

/** The number of the data key that sealed these bytes. */
export function dataKeyOf(sealed: Buffer): number {
  return sealed.readUInt32BE(1)
}

function headerOf(dataKeyNumber: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header[0] = FORMAT
  header.writeUInt32BE(dataKeyNumber, 1)
  return header
}

// The design's associated data is format ‖ credential ‖ environment ‖ field ‖ sealed revision; the data key's
// number is in it too, because it costs nothing to have the whole header authenticated.
function bound(header: Buffer, context: readonly string[], bind: readonly string[]): Buffer {
  return Buffer.concat([header, framed([...context, ...bind])])
}
