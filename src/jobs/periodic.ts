import type { FastifyInstance } from 'fastify'

/**
 * Runs `work` until the app closes: first after `everyMs`, then `everyMs` after the end of each run, plus or
 * minus up to 20 %, so that replicas that start together drift apart. Closing aborts the signal and waits for
 * a run in progress. An error is logged with `failure`, once until a run succeeds again, and does not stop
 * the job.
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
  const run = async () => {
    try {
      await work(signal)
      if (failing) app.log.info({ was: failure }, 'works again')
      failing = false
    } catch (error) {
      if (!failing) app.log.warn({ err: error }, failure)
      failing = true
    }
    schedule()
  }
  const schedule = () => {
    if (signal.aborted) return
    timer = setTimeout(() => {
      running = run()
    }, withJitter(everyMs)).unref()
  }
  app.addHook('onReady', async () => schedule())
  app.addHook('onClose', async () => {
    closing.abort()
    clearTimeout(timer)
    await running
  })
}

function withJitter(ms: number): number {
  return ms * (0.8 + 0.4 * (crypto.getRandomValues(new Uint8Array(1))[0]! / 255))
}
