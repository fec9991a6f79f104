import fp from 'fastify-plugin'
import { Counter, Gauge } from 'prom-client'
import { systemOrigin } from '../../audit/record.ts'
import { runPeriodically } from '../../jobs/periodic.ts'
import { destroyDataKey, KeyNotDestroyed } from './destroy.ts'
import { measureKeys } from './key-metrics.ts'
import { reencryptAll } from './reencrypt.ts'
import { findCurrentOlderThan, listDataKeys } from './repository.ts'
import { RootKeyNotCurrent, rotateDataKey } from './rotate.ts'

const EVERY_MS = 5_000
/** What did not open a moment ago is tried again after so long, and not at each turn. */
const DAMAGED_REST_MS = 10 * 60_000
const DAY_MS = 24 * 60 * 60_000
const origin = systemOrigin('service')

/**
 * Makes a new data key when the current one is old, seals anew what is under retired ones, and destroys those that have
 * been retired for long and that nothing names. Every replica does it; the database has them take turns.
 */
export const keyRotationJob = fp(
  async (app) => {
    const { db, keyring, config } = app.services
    const rootKey = config.rootKeys?.[0]
    const { registry, decryptionFailures } = app.metrics
    const reencrypted = new Counter({
      name: 'latchkey_reencrypted_values_total',
      help: 'Values that this process has sealed anew under a new data key',
      registers: [registry]
    })
    const damagedNow = new Gauge({
      name: 'latchkey_reencryption_damaged_credentials',
      help: 'Credentials with a value that the last pass of re-encryption could not open',
      registers: [registry]
    })
    measureKeys(registry, db)

    async function rotateByAge() {
      if (config.dataKeyMaxDays === 0 || !rootKey) return
      // By the database's clock, which made its time: a host's that is ahead would make keys without end.
      const old = await findCurrentOlderThan(db, config.dataKeyMaxDays)
      if (old === undefined) return
      const number = await rotateDataKey(db, rootKey, origin, 'age', old)
      await keyring.refresh()
      app.log.info({ dataKey: number }, 'a new data key is current: the one before was too old')
    }

    let rest = { until: 0, under: 0 }
    async function reencrypt(signal: AbortSignal) {
      // A new key ends the rest: then there is more to do than what does not open.
      if (performance.now() < rest.until && rest.under === keyring.current) return
      const under = keyring.current
      const { values, damaged } = await reencryptAll(db, keyring, {
        signal,
        onBatch: (batch) => reencrypted.inc(batch.values)
      })
      if (values > 0) app.log.info({ values }, 'values were sealed anew under the current data key')
      damagedNow.set(damaged.length)
      if (damaged.length === 0) return
      decryptionFailures.inc({ where: 're-encryption' }, damaged.length)
      app.log.error(
        { credentials: damaged.length, first: damaged.slice(0, 10) },
        'stored values do not open, and stay under their retired data key'
      )
      rest = { until: performance.now() + DAMAGED_REST_MS, under }
    }

    async function destroyOld() {
      const keptMs = config.dataKeyKeepDays * DAY_MS
      for (const { number, retired_at } of await listDataKeys(db)) {
        if (!retired_at || Date.now() - retired_at.getTime() < keptMs) continue
        try {
          await destroyDataKey(db, number, origin, keptMs / 1000)
          app.log.info({ dataKey: number }, 'a data key was destroyed: nothing names it')
        } catch (error) {
          // Not yet, or another replica did it.
          if (!(error instanceof KeyNotDestroyed)) throw error
        }
      }
    }

    // Each for itself: while a root key's provider is away, the two that need none go on.
    runPeriodically(app, { everyMs: EVERY_MS, failure: 'the data key was not rotated' }, () =>
      rotateByAge().catch((error) => {
        // A replica that still runs with an old root key: those with the new one do it.
        if (!(error instanceof RootKeyNotCurrent)) throw error
      })
    )
    runPeriodically(app, { everyMs: EVERY_MS, failure: 'values were not sealed anew' }, reencrypt)
    runPeriodically(app, { everyMs: EVERY_MS, failure: 'old data keys were not destroyed' }, destroyOld)
  },
  { name: 'key-rotation', fastify: '5.x', dependencies: ['services', 'metrics'] }
)
