/**
 * Values by key, as many as have room in `max`, in whatever unit their sizes are given: those that were not asked for
 * longest go first. One that is larger than a hundredth of it is not kept.
 */
export class Recent<Value> {
  readonly #max: number
  readonly #kept = new Map<string, { value: Value; size: number }>()
  #size = 0

  constructor(max: number) {
    this.#max = max
  }

  get(key: string): Value | undefined {
    const kept = this.#kept.get(key)
    if (!kept) return undefined
    // The one that was used longest ago comes first.
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    return kept.value
  }

  put(key: string, value: Value, size: number): void {
    this.delete(key)
    if (size > this.#max / 100) return
    this.#kept.set(key, { value, size })
    this.#size += size
    while (this.#size > this.#max) this.delete(this.#kept.keys().next().value!)
  }

  delete(key: string): void {
    this.#size -= this.#kept.get(key)?.size ?? 0
    this.#kept.delete(key)
  }
}
