import type { FastifyInstance } from 'fastify'

/**
 * Does `work` again and again while the service runs: `everyMs` after it was done, give or take a fifth, so that replicas
 * that started together drift apart. `work` gets a signal for when the service closes, which waits for it to end. What it
 * throws is logged with `failure`, once until it succeeds again, and the next turn comes as ever.
 */
export function runPeriodically(
  app: FastifyInstance,
  { everyMs, failure }: { everyMs: number; failure: string },
  work: (signal: AbortSignal) => Promise<unknown>
): void {
  const closing = new AbortController()
  const { signal } = closing
  let running: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  let failing = false
  const wait = () => {
    if (!signal.aborted) timer = setTimeout(next, jittered(everyMs)).unref()
  }
  const turn = async () => {
    try {
      await work(signal)
      if (failing) app.log.info({ was: failure }, 'works again')
      failing = false
    } catch (error) {
      if (!failing) app.log.warn({ err: error }, failure)
      failing = true
    }
    wait()
  }
  const next = () => {
    running = turn()
  }
  app.addHook('onReady', async () => wait())
  app.addHook('onClose', async () => {
    closing.abort()
    clearTimeout(timer)
    await running
  })
}

function jittered(ms: number): number {
  return ms * (0.8 + 0.4 * (crypto.getRandomValues(new Uint8Array(1))[0]! / 255))
}
