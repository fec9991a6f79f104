import type { Registry } from 'prom-client'
import type { Database } from '../../db/database.ts'
import { cached, gaugeOf } from '../../http/metrics.ts'
import { countNamed, listDataKeys } from './repository.ts'

/** Past this many, a scrape does not count on: it costs the same on any database. */
const COUNTED = 100_000

/** Gauges of the data keys: how much is under each, how many retired ones are still named, how old the current one is. */
export function measureKeys(registry: Registry, db: Database): void {
  const keys = cached(async () => {
    const [rows, named] = await Promise.all([listDataKeys(db), countNamed(db, { atMost: COUNTED })])
    return rows.map(({ number, retired_at, created_at }) => {
      const { values = 0, answers = 0 } = named.find((one) => one.number === number) ?? {}
      return { number, retired: retired_at !== null, created: created_at.getTime(), values, answers }
    })
  })
  gaugeOf(
    registry,
    {
      name: 'latchkey_data_key_values',
      help: `Values under each data key that is not destroyed, counted up to ${COUNTED}`,
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
      help: 'Retired data keys that values or kept answers still name'
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
}
