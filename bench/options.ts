import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Plan } from './measure.ts'
import { DRAWS, type DrawName, ROUTES, type Route } from './routes.ts'
import type { Sizes } from './seed.ts'

export interface Options {
  /** The directory of another checkout of this project. */
  against: string | undefined
  /** The directory for the seeded database; undefined for a temporary one. */
  data: string | undefined
  routes: readonly Route[]
  memory: boolean
  /** Also measures the reference routes alone. */
  references: boolean
  /** Measures everything in docs/explanation/performance.md, with the settings used there. */
  complete: boolean
  connections: readonly number[]
  draws: readonly DrawName[]
  plan: Plan
  sizes: Sizes
  check: boolean
  writeBaseline: boolean
}

const MEMORY = 'memory'
const DEFAULTS = {
  rounds: { against: 24, reference: 6, quick: 12, check: 12 },
  connections: { full: [1, 16, 64], quick: [16] },
  seconds: 0.25,
  warmUp: { full: { requests: 25_000, seconds: 15 }, quick: { requests: 10_000, seconds: 6 } },
  sizes: { owners: 500, each: 200 }
}
/** Routes of `--check`. */
const CHECKED = 'mix,get,list,resolve-1,create,update-description'

/** Parses the command line. Throws an error with a one-line message for invalid arguments. */
export function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      against: { type: 'string' },
      data: { type: 'string' },
      only: { type: 'string' },
      connections: { type: 'string' },
      draw: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      owners: { type: 'string' },
      each: { type: 'string' },
      quick: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      'write-baseline': { type: 'boolean', default: false }
    }
  })
  const { against, data, draw, quick } = values
  const check = values.check || values['write-baseline']
  if (check && against) throw new Error('--check and --write-baseline cannot be combined with --against')
  const short = quick || check
  const rounds = DEFAULTS.rounds[check ? 'check' : quick ? 'quick' : against ? 'against' : 'reference']
  const only = (values.only ?? (check ? CHECKED : undefined))?.split(',')
  const full = DEFAULTS.connections.full
  return {
    against: against === undefined ? undefined : resolve(against),
    data: data === undefined ? undefined : resolve(data),
    routes: routesOf(only),
    memory: only ? only.includes(MEMORY) : !short,
    references: !against && !only && !check,
    complete: !only && !short && !values.connections && !draw && !values.owners && !values.each,
    connections: values.connections
      ? values.connections.split(',').map((text) => positive('connections', text))
      : short
        ? DEFAULTS.connections.quick
        : full,
    draws: draw ? draw.split(',').map(drawOf) : short ? ['uniform'] : ['uniform', 'zipf'],
    plan: {
      rounds: positive('rounds', values.rounds, rounds),
      seconds: positive('seconds', values.seconds, DEFAULTS.seconds),
      warmUp: short ? DEFAULTS.warmUp.quick : DEFAULTS.warmUp.full
    },
    sizes: {
      owners: positive('owners', values.owners, DEFAULTS.sizes.owners),
      each: positive('each', values.each, DEFAULTS.sizes.each)
    },
    check,
    writeBaseline: values['write-baseline']
  }
}

/** Returns the routes with these names; `update` stands for both routes that begin with `update-`. */
function routesOf(names: readonly string[] | undefined): readonly Route[] {
  if (!names) return ROUTES
  const isMeant = (name: string) => (route: Route) => route.name === name || route.name.startsWith(`${name}-`)
  for (const name of names) {
    if (name === MEMORY || ROUTES.some(isMeant(name))) continue
    throw new Error(`--only takes a list of ${ROUTES.map((route) => route.name).join(',')},${MEMORY}`)
  }
  return ROUTES.filter((route) => names.some((name) => isMeant(name)(route)))
}

function drawOf(text: string): DrawName {
  if (text in DRAWS) return text as DrawName
  throw new Error(`--draw takes ${Object.keys(DRAWS).join(' or ')}`)
}

function positive(option: string, text: string | undefined, fallback?: number): number {
  const value = text === undefined ? fallback : Number(text)
  if (value === undefined || !(value > 0)) throw new Error(`--${option} takes a number above 0`)
  return value
}
