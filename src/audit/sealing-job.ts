import fp from 'fastify-plugin'
import { sealBatch } from './chain.ts'

const EVERY_MS = 2_000

/** Seals new events into the chain while the service runs. */
export const auditSealing = fp(
  async (app) => {
    const { db } = app.services
    let stopped = false
    let running: Promise<void> = Promise.resolve()
    let timer: NodeJS.Timeout | undefined
    async function seal() {
      try {
        while (!stopped && (await sealBatch(db)) > 0) {}
      } catch (error) {
        app.log.warn({ err: error }, 'audit events were not sealed')
      }
      if (!stopped) timer = setTimeout(next, EVERY_MS).unref()
    }
    const next = () => {
      running = seal()
    }
    app.addHook('onReady', async () => {
      timer = setTimeout(next, EVERY_MS).unref()
    })
    app.addHook('onClose', async () => {
      stopped = true
      clearTimeout(timer)
      await running
    })
  },
  { name: 'audit-sealing', fastify: '5.x', dependencies: ['services'] }
)
