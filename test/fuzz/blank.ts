import fc from 'fast-check'

/**
 * What stands in a request that was made up until it is sent, for what only the run knows: the world fills it
 * in.
 */
export class Blank {
  /**
   * An `id` of `kind`, a person's `email` or `password`, a `secret`; `keys` or `fields` of the type that is
   * meant.
   */
  readonly of: 'id' | 'email' | 'password' | 'secret' | 'keys' | 'fields'
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
