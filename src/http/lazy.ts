/** A function that is made when it is first called. What the made one keeps on itself, as validators do `errors`, is found on this one. */
export function lazy<F extends (...args: never[]) => unknown>(make: () => F): F {
  let made: F | undefined
  const call = function (this: unknown, ...args: Parameters<F>) {
    made ??= make()
    return made.apply(this, args)
  }
  Object.defineProperty(call, 'errors', { get: () => (made as { errors?: unknown } | undefined)?.errors })
  return call as unknown as F
}
