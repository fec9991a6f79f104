import { AsyncLocalStorage } from 'node:async_hooks'

/** Resolves when a long read of the current request may start. */
type WaitForTurn = () => Promise<void>

const current = new AsyncLocalStorage<WaitForTurn>()

/** Runs `work`. Every long read that it starts, now or later, first waits for `waitForTurn`. */
export function withTurns(waitForTurn: WaitForTurn, work: () => void): void {
  current.run(waitForTurn, work)
}

/** Waits for the turn of the current request. Does not wait outside of requests. */
export async function waitForTurn(): Promise<void> {
  await current.getStore()?.()
}
