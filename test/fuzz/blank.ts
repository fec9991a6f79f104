import fc from 'fast-check'

/**
 * A placeholder in a generated request for a value that is known only during the run. `World.fill` replaces
 * it before the request is sent.
 */
export class Blank {
  /**
   * The kind of value: an `id` or a `name` of `kind`, a user's `email` or `password`, a `secret`, or the
   * `keys`, `values` or `fields` of a type.
   */
  readonly of: 'id' | 'name' | 'email' | 'password' | 'secret' | 'keys' | 'values' | 'fields'
  readonly kind: string
  readonly nth: number

  constructor(of: Blank['of'], nth: number, kind = '') {
    this.of = of
    this.kind = kind
    this.nth = nth
  }

  [fc.toStringMethod](): string {
    return `<${[this.of, this.kind, this.nth].filter((part) => part !== '').join(' ')}>`
  }
}
