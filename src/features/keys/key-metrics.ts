import { Counter, Gauge, type Registry } from 'prom-client'
import type { Database } from '../../db/database.ts'
import { cached, gaugeOf } from '../../http/metrics.ts'
import { countUses, listDataKeys } from './repository.ts'

/** The limit up to which a scrape counts, so that its cost does not grow with the database. */
const MAX_COUNT = 100_000

/**
 * Registers the gauges that read the data keys from the database, and returns the metrics of re-encryption.
 */
export function createKeyMetrics(registry: Registry, db: Database) {
  const keys = cached(async () => {
    const [rows, uses] = await Promise.all([listDataKeys(db), countUses(db, { limit: MAX_COUNT })])
    return rows.map(({ number, retired_at, created_at }) => {
      const { values = 0, answers = 0 } = uses.find((one) => one.number === number) ?? {}
      return { number, retired: retired_at !== null, created: created_at.getTime(), values, answers }
    })
  })
  gaugeOf(
    registry,
    {
      name: 'latchkey_data_key_values',
      help: `Values under each data key that is not destroyed, counted up to ${MAX_COUNT}`,
      labelNames: ['data_key', 'state']
    },
    async () =>
      (await keys()).map(({ number, retired, values }) => ({
        labels: { data_key: String(number), state: retired ? 'retired' : 'current' },
        value: values
      }))
  )
  gaugeOf(
    registry,
    {
      name: 'latchkey_retired_data_keys_in_use',
      help: 'Retired data keys that values or stored responses still use'
    },
    async () => {
      const inUse = (await keys()).filter((key) => key.retired && key.values + key.answers > 0)
      return [{ value: inUse.length }]
    }
  )
  gaugeOf(
    registry,
    { name: 'latchkey_data_key_age_seconds', help: 'The age of the current data key' },
    async () =>
      (await keys())
        .filter((key) => !key.retired)
        .map(({ created }) => ({ value: (Date.now() - created) / 1000 }))
  )
  return {
    reencrypted: new Counter({
      name: 'latchkey_reencrypted_values_total',
      help: 'Values that this process has re-encrypted under a new data key',
      registers: [registry]
    }),
    damagedCredentials: new Gauge({
      name: 'latchkey_reencryption_damaged_credentials',
      help: 'Credentials with a value that the last pass of re-encryption could not decrypt',
      registers: [registry]
    })
  }
}
