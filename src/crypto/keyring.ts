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
  /** The number of the data key that it seals under, whatever becomes current meanwhile. */
  readonly dataKeyNo: number
  seal(bind: readonly string[], plaintext: Buffer): Buffer
  /** Throws DecryptionFailed for bytes that were sealed elsewhere, for something else, or changed since. */
  open(bind: readonly string[], sealed: Buffer): Buffer
}

/** The data key is not held here: it may have been made a moment ago, by another process. See `Keyring.find`. */
export class UnknownDataKey extends DecryptionFailed {
  readonly number: number

  constructor(number: number) {
    super()
    this.name = 'UnknownDataKey'
    this.number = number
  }
}

/** The data keys that there are now, and those of them that were not held, unwrapped. */
export interface DataKeys {
  current: number
  numbers: readonly number[]
  unwrapped: ReadonlyMap<number, Buffer>
}

/** Reads the data keys that there are, and unwraps those that are not held. */
export type KeySource = (held: ReadonlySet<number>) => Promise<DataKeys>

/** Derived keys that a data key keeps. */
const MAX_KEPT = 1_000

/** A data key, with the keys that were derived from it to open something: they go when it goes. */
class DataKey {
  readonly #key: KeyObject
  readonly #kept = new Map<string, KeyObject>()

  constructor(bytes: Buffer) {
    this.#key = createSecretKey(bytes)
  }

  derive(label: string, context: readonly string[]): KeyObject {
    return deriveKey(this.#key, label, context)
  }

  /** The same, derived once: what was opened is opened again, more often than not. */
  keep(label: string, context: readonly string[]): KeyObject {
    const id = JSON.stringify([label, ...context])
    let key = this.#kept.get(id)
    if (key) return key
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear()
    key = this.derive(label, context)
    this.#kept.set(id, key)
    return key
  }
}

interface Held {
  readonly current: number
  readonly keys: ReadonlyMap<number, DataKey>
}

/**
 * The data keys, unwrapped. New values are sealed under the current one, old ones open under theirs. Which keys there
 * are changes while the service runs: `refresh` and `find` take up what the source has. What is held stays held while
 * the source cannot be read.
 */
export class Keyring {
  readonly #source: KeySource | undefined
  #held: Held
  #refreshing: Promise<void> | undefined
  /** Numbers that were looked for in vain since the last refresh. */
  readonly #sought = new Set<number>()

  constructor(keys: ReadonlyMap<number, Buffer>, current: number, source?: KeySource) {
    const made = [...keys].map(([number, key]) => [number, new DataKey(key)] as const)
    this.#held = heldOf(new Map(made), current)
    this.#source = source
  }

  get current(): number {
    return this.#held.current
  }

  /** The box of one credential's values in one environment at one sealed revision; `bind` is the field's id. */
  values({ credentialId, environment, sealedRevision }: ValueContext): Box {
    return this.#box('latchkey/value-key/v1', [credentialId, environment, String(sealedRevision)])
  }

  /** The box of the answer that is kept for one principal's idempotency key. */
  answers(principal: string, key: string): Box {
    return this.#box('latchkey/idempotent-answer/v1', [principal, key])
  }

  /** Takes up what the source has now. Throws what the source throws, and then holds what it held. */
  async refresh(): Promise<void> {
    await this.#load()
    this.#sought.clear()
  }

  /**
   * Looks whether there is a data key of this number by now. One that there is not is remembered until the next
   * refresh, so that a number that somebody made up costs one look and not one a request. Throws as `refresh`.
   */
  async find(number: number): Promise<void> {
    // One that is under way may have read before the key was there.
    await this.#refreshing?.catch(() => {})
    if (this.#held.keys.has(number)) return
    await this.#load()
    if (!this.#held.keys.has(number)) this.#sought.add(number)
  }

  #load(): Promise<void> {
    this.#refreshing ??= this.#take().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #take(): Promise<void> {
    if (!this.#source) return
    const held = this.#held.keys
    const { current, numbers, unwrapped } = await this.#source(new Set(held.keys()))
    const keys = numbers.map(
      (number) => [number, held.get(number) ?? new DataKey(unwrapped.get(number)!)] as const
    )
    this.#held = heldOf(new Map(keys), current)
  }

  #box(label: string, context: readonly string[]): Box {
    const { current, keys } = this.#held
    let sealing: KeyObject | undefined
    const opening = new Map<number, KeyObject>()
    const keyOf = (number: number) => {
      const known = opening.get(number)
      if (known) return known
      const dataKey = keys.get(number)
      if (!dataKey) throw this.#sought.has(number) ? new DecryptionFailed() : new UnknownDataKey(number)
      const key = dataKey.keep(label, context)
      opening.set(number, key)
      return key
    }
    return {
      dataKeyNo: current,
      seal: (bind, plaintext) => {
        const header = headerOf(current)
        sealing ??= keys.get(current)!.derive(label, context)
        return Buffer.concat([header, seal(sealing, plaintext, bound(header, context, bind))])
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
    return { current: this.current, numbers: [...this.#held.keys.keys()] }
  }

  [inspect.custom]() {
    return `Keyring ${JSON.stringify(this)}`
  }
}

function heldOf(keys: ReadonlyMap<number, DataKey>, current: number): Held {
  if (!keys.has(current)) throw new RangeError('the current data key is not among the keys')
  return { keys, current }
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
