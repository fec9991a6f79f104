import { setTimeout as sleep } from 'node:timers/promises'

/** Waits until the condition holds. Throws if it does not within `withinMs`. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 10_000
): Promise<void> {
  for (const deadline = Date.now() + withinMs; !(await holds()); await sleep(10)) {
    if (Date.now() > deadline) throw new Error(`timed out waiting for: ${what}`)
  }
}
