import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Measured } from './measure.ts'

/** What the ratios were, and how far below them they may be measured. */
export interface Baseline {
  tolerance: number
  reason: string
  /** How many it was measured with. */
  connections: number
  /** By route, of its reference. */
  ratios: Record<string, number>
}

const file = join(import.meta.dirname, 'baseline.json')

export async function readBaseline(): Promise<Baseline> {
  return JSON.parse(await readFile(file, 'utf8'))
}

/** Puts these ratios in the place of the baseline's, and keeps its tolerance. */
export async function writeBaseline(
  connections: number,
  measured: readonly { name: string; ratio: number }[]
): Promise<void> {
  const ratios = Object.fromEntries(measured.map(({ name, ratio }) => [name, Number(ratio.toFixed(3))]))
  await writeFile(file, `${JSON.stringify({ ...(await readBaseline()), connections, ratios }, null, 2)}\n`)
}

/** The ratio to its own reference, of a route that has one. */
export function ownRatio({ name, ratios }: Measured): { name: string; ratio: number } {
  const [ratio, ...others] = Object.values(ratios)
  if (ratio === undefined || others.length > 0)
    throw new Error(`${name} was not measured against one reference`)
  return { name, ratio }
}

/** Each ratio beside the least that the baseline lets it be; throws for a route that the baseline does not have. */
export function compare(baseline: Baseline, measured: readonly { name: string; ratio: number }[]) {
  return measured.map(({ name, ratio }) => {
    const known = baseline.ratios[name]
    if (known === undefined)
      throw new Error(`the baseline has no ratio of ${name}: run with --write-baseline`)
    const least = known * (1 - baseline.tolerance)
    return { name, ratio, known, least, holds: ratio >= least }
  })
}
