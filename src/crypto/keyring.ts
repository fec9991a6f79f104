// format (1) ‖ data key number (4, big-endian) ‖ nonce (12) ‖ ciphertext ‖ tag (16)
import { createSecretKey, type KeyObject } from 'node:crypto'
import { inspect } from 'node:util'
import { DecryptionFailed, framed, NONCE_BYTES, open, seal, TAG_BYTES } from './aead.ts'
import { deriveKey } from './derive.ts'

const FORMAT = 1
const HEADER_BYTES = 5
const MIN_BYTES = HEADER_BYTES + NONCE_BYTES + TAG_BYTES
const MAX_CACHED_KEYS = 1_000

/** Identifies the values of a credential in an environment. Authenticated, with the field's id, as AAD. */
export interface ValueContext {
  credentialId: string
  environment: string
  sealedRevision: number
}

/** Encrypts and decrypts values of one context. `additionalData` is authenticated and not stored. */
export interface Sealer {
  /** The data key that it encrypts with. It does not change when another one becomes current. */
  readonly dataKeyNo: number
  seal(additionalData: readonly string[], plaintext: Buffer): Buffer
  /** Throws DecryptionFailed if the bytes were changed, or sealed for another context or additional data. */
  open(additionalData: readonly string[], sealed: Buffer): Buffer
}

/** The data key is not loaded here; another process may have just created it. See `Keyring.loadKey`. */
export class UnknownDataKey extends DecryptionFailed {
  readonly number: number

  constructor(number: number) {
    super()
    this.name = 'UnknownDataKey'
    this.number = number
  }
}

/** The existing data keys, and the unwrapped keys of those that were not loaded yet. */
export interface DataKeys {
  current: number
  numbers: readonly number[]
  unwrapped: ReadonlyMap<number, Buffer>
}

/** Reads the list of data keys, and unwraps those that are not in `loaded`. */
export type KeySource = (loaded: ReadonlySet<number>) => Promise<DataKeys>

/** A data key, with a cache of the keys derived from it for decryption. The cache goes when the key goes. */
class DataKey {
  readonly #key: KeyObject
  readonly #cache = new Map<string, KeyObject>()

  constructor(bytes: Buffer) {
    this.#key = createSecretKey(bytes)
  }

  derive(label: string, context: readonly string[]): KeyObject {
    return deriveKey(this.#key, label, context)
  }

  deriveCached(label: string, context: readonly string[]): KeyObject {
    const id = JSON.stringify([label, ...context])
    const cached = this.#cache.get(id)
    if (cached) return cached
    if (this.#cache.size >= MAX_CACHED_KEYS) this.#cache.clear()
    const key = this.derive(label, context)
    this.#cache.set(id, key)
    return key
  }
}

interface Snapshot {
  readonly current: number
  readonly keys: ReadonlyMap<number, DataKey>
}

/**
 * The unwrapped data keys. The current one encrypts; each value is decrypted with the one that encrypted it.
 * `refresh` and `loadKey` follow changes in the source; the loaded keys stay usable while the source fails.
 */
export class Keyring {
  readonly #source: KeySource | undefined
  #snapshot: Snapshot
  #loading: Promise<void> | undefined
  /** Numbers that the source did not have, since the last refresh. */
  readonly #missing = new Set<number>()

  constructor(keys: ReadonlyMap<number, Buffer>, current: number, source?: KeySource) {
    this.#snapshot = newSnapshot(
      current,
      [...keys].map(([number, key]) => [number, new DataKey(key)])
    )
    this.#source = source
  }

  get current(): number {
    return this.#snapshot.current
  }

  /** The sealer of a credential's values in one environment; `additionalData` is the id of the field. */
  values({ credentialId, environment, sealedRevision }: ValueContext): Sealer {
    return this.#sealer('latchkey/value-key/v1', [credentialId, environment, String(sealedRevision)])
  }

  /** The sealer of the response stored for a principal's idempotency key; there is no `additionalData`. */
  answers(principal: string, key: string): Sealer {
    return this.#sealer('latchkey/idempotent-answer/v1', [principal, key])
  }

  /** The sealer of a caller's cursors. `additionalData` is what the cursor is for: a list and its filters. */
  cursors(caller: string): Sealer {
    return this.#sealer('latchkey/cursor/v1', [caller])
  }

  /** The sealer of the key that signs the ends of the audit log; there is no `additionalData`. */
  signingKey(): Sealer {
    return this.#sealer('latchkey/audit-signing-key/v1', [])
  }

  /** Loads the data keys that the source has now. If the source throws, so does this, and nothing changes. */
  async refresh(): Promise<void> {
    await this.#load()
    this.#missing.clear()
  }

  /**
   * Loads a data key that was unknown a moment ago. If the source does not have it, it counts as missing
   * until the next refresh, so that a made-up number costs one read and not one per request. Throws as
   * `refresh`.
   */
  async loadKey(number: number): Promise<void> {
    // A load in progress may have read the source before the key was there.
    await this.#loading?.catch(() => {})
    if (this.#snapshot.keys.has(number)) return
    await this.#load()
    if (!this.#snapshot.keys.has(number)) this.#missing.add(number)
  }

  #load(): Promise<void> {
    this.#loading ??= this.#readSource().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  async #readSource(): Promise<void> {
    if (!this.#source) return
    const loaded = this.#snapshot.keys
    const { current, numbers, unwrapped } = await this.#source(new Set(loaded.keys()))
    this.#snapshot = newSnapshot(
      current,
      numbers.map((number) => [number, loaded.get(number) ?? new DataKey(unwrapped.get(number)!)])
    )
  }

  #sealer(label: string, context: readonly string[]): Sealer {
    const { current, keys } = this.#snapshot
    let sealingKey: KeyObject | undefined
    const openingKeys = new Map<number, KeyObject>()
    const openingKey = (number: number) => {
      const known = openingKeys.get(number)
      if (known) return known
      const dataKey = keys.get(number)
      if (!dataKey) throw this.#missing.has(number) ? new DecryptionFailed() : new UnknownDataKey(number)
      const key = dataKey.deriveCached(label, context)
      openingKeys.set(number, key)
      return key
    }
    // The data key's number is authenticated too, with the rest of the header.
    const authenticated = (header: Buffer, additionalData: readonly string[]) =>
      Buffer.concat([header, framed([...context, ...additionalData])])
    return {
      dataKeyNo: current,
      seal: (additionalData, plaintext) => {
        const header = headerOf(current)
        sealingKey ??= keys.get(current)!.derive(label, context)
        return Buffer.concat([header, seal(sealingKey, plaintext, authenticated(header, additionalData))])
      },
      open: (additionalData, sealed) => {
        if (sealed.length < MIN_BYTES || sealed[0] !== FORMAT) throw new DecryptionFailed()
        const header = sealed.subarray(0, HEADER_BYTES)
        const key = openingKey(dataKeyOf(sealed))
        return open(key, sealed.subarray(HEADER_BYTES), authenticated(header, additionalData))
      }
    }
  }

  toJSON() {
    return { current: this.current, numbers: [...this.#snapshot.keys.keys()] }
  }

  [inspect.custom]() {
    return `Keyring ${JSON.stringify(this)}`
  }
}

function newSnapshot(current: number, entries: readonly [number, DataKey][]): Snapshot {
  const keys = new Map(entries)
  if (!keys.has(current)) throw new RangeError('the current data key is not among the keys')
  return { current, keys }
}

/** The number of the data key that encrypted these bytes. */
export function dataKeyOf(sealed: Buffer): number {
  return sealed.readUInt32BE(1)
}

function headerOf(dataKeyNumber: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header[0] = FORMAT
  header.writeUInt32BE(dataKeyNumber, 1)
  return header
}
