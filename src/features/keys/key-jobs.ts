import fp from 'fastify-plugin'
import { systemOrigin } from '../../audit/record.ts'
import { runPeriodically } from '../../jobs/periodic.ts'
import { destroyDataKey, KeyNotDestroyed } from './destroy.ts'
import { createKeyMetrics } from './key-metrics.ts'
import { reencryptAll } from './reencrypt.ts'
import { countUses, findCurrentOlderThan, listDataKeys } from './repository.ts'
import { RootKeyNotCurrent, rotateDataKey } from './rotate.ts'

/** The interval at which a replica reloads the data keys. A request that needs a new key loads it at once. */
const EVERY_MS = 5_000
/** The pause before values that did not decrypt are tried again. */
const DAMAGED_PAUSE_MS = 10 * 60_000
const DAY_MS = 24 * 60 * 60_000
const origin = systemOrigin('service')

/**
 * Keeps the keyring up to date, rotates the data key by age, re-encrypts values under retired data keys, and
 * destroys unused ones. All replicas run the jobs, and take turns by locks in the database.
 */
export const keyJobs = fp(
  async (app) => {
    const { db, keyring, config } = app.services
    const rootKey = config.rootKeys?.[0]
    const { registry, decryptionFailures, keyringRefreshFailures } = app.metrics
    const { reencrypted, damagedCredentials } = createKeyMetrics(registry, db)

    async function refresh() {
      try {
        await keyring.refresh()
      } catch (error) {
        keyringRefreshFailures.inc()
        throw error
      }
    }

    async function rotateByAge() {
      if (config.dataKeyMaxDays === 0 || !rootKey) return
      // Uses the database's clock, which set the time. A host whose clock is ahead would rotate on every run.
      const old = await findCurrentOlderThan(db, config.dataKeyMaxDays)
      if (old === undefined) return
      try {
        const number = await rotateDataKey(db, rootKey, origin, 'age', old)
        await keyring.refresh()
        app.log.info({ dataKey: number }, 'the data key was rotated because the previous one was too old')
      } catch (error) {
        // This replica runs with an old root key; those with the new one rotate.
        if (!(error instanceof RootKeyNotCurrent)) throw error
      }
    }

    let paused = { until: 0, dataKey: 0 }
    async function reencrypt(signal: AbortSignal) {
      const dataKey = keyring.current
      // A new data key ends the pause, because all values must be re-encrypted under it.
      if (performance.now() < paused.until && paused.dataKey === dataKey) return
      const { values, damaged } = await reencryptAll(db, keyring, {
        signal,
        onBatch: (batch) => reencrypted.inc(batch.values)
      })
      if (values > 0) app.log.info({ values }, 'values were re-encrypted under the current data key')
      damagedCredentials.set(damaged.length)
      if (damaged.length === 0) return
      decryptionFailures.inc({ where: 're-encryption' }, damaged.length)
      app.log.error(
        { credentials: damaged.length, first: damaged.slice(0, 10) },
        'stored values do not decrypt, and stay under their retired data key'
      )
      paused = { until: performance.now() + DAMAGED_PAUSE_MS, dataKey }
    }

    async function destroyUnused() {
      const keepMs = config.dataKeyKeepDays * DAY_MS
      for (const { number, retired_at } of await listDataKeys(db)) {
        if (!retired_at || Date.now() - retired_at.getTime() < keepMs) continue
        // Without counting all, which `destroyDataKey` does under a lock.
        const [uses] = await countUses(db, { number, limit: 1 })
        if (!uses || uses.values + uses.answers > 0) continue
        try {
          await destroyDataKey(db, number, origin, keepMs / 1000)
          app.log.info({ dataKey: number }, 'an unused data key was destroyed')
        } catch (error) {
          // Still in use, or another replica destroyed it.
          if (!(error instanceof KeyNotDestroyed)) throw error
        }
      }
    }

    // Separate jobs, so that re-encryption and destruction continue while the key provider is unavailable.
    runPeriodically(app, { everyMs: EVERY_MS, failure: 'the data keys were not refreshed' }, refresh)
    runPeriodically(app, { everyMs: EVERY_MS, failure: 'the data key was not rotated' }, rotateByAge)
    runPeriodically(app, { everyMs: EVERY_MS, failure: 'values were not re-encrypted' }, reencrypt)
    runPeriodically(app, { everyMs: EVERY_MS, failure: 'old data keys were not destroyed' }, destroyUnused)
  },
  { name: 'key-jobs', fastify: '5.x', dependencies: ['services', 'metrics'] }
)
