import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Row } from './report.ts'

/** The expected ratios of routes to their references, with a tolerance for slower measurements. */
interface Baseline {
  tolerance: number
  reason: string
  /** Keyed by route, draw and number of connections. */
  ratios: Record<string, number>
}

const file = join(import.meta.dirname, 'baseline.json')

async function readBaseline(): Promise<Baseline> {
  return JSON.parse(await readFile(file, 'utf8'))
}

const nameOf = ({ route, draw, connections }: Row) => `${route} ${draw} ${connections}`

/** Replaces the ratios of the baseline, but not its tolerance. */
export async function writeBaseline(rows: readonly Row[]): Promise<void> {
  const ratios = Object.fromEntries(rows.map((row) => [nameOf(row), Number(row.ratio.median.toFixed(3))]))
  await writeFile(file, `${JSON.stringify({ ...(await readBaseline()), ratios }, null, 2)}\n`)
}

/** Compares each ratio with the lowest that the baseline allows. Throws if the baseline lacks the row. */
export async function checkBaseline(rows: readonly Row[]): Promise<{ text: string; holds: boolean }[]> {
  const { tolerance, ratios } = await readBaseline()
  return rows.map((row) => {
    const name = nameOf(row)
    const expected = ratios[name]
    if (expected === undefined)
      throw new Error(`the baseline has no ratio for ${name}: run with --write-baseline`)
    const least = expected * (1 - tolerance)
    const { median } = row.ratio
    const holds = median >= least
    const result = holds ? 'holds' : 'SLOWER'
    return {
      holds,
      text: `${name}: ${median.toFixed(3)}, baseline ${expected}, least ${least.toFixed(3)}: ${result}`
    }
  })
}
