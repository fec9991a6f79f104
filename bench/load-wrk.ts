import { randomInt } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Generator, type Load, newPrefix } from './load.ts'
import { exists, run } from './process.ts'

const script = join(import.meta.dirname, 'wrk.lua')

export const isThere = () => exists('wrk')

/** wrk with one thread, for the numbers in its bodies; its requests go to it by a file in `directory`. */
export function generator(directory: string): Generator {
  const file = join(directory, 'requests.lua')
  return {
    name: 'wrk',
    async run(load, connections, seconds, signal) {
      await writeFile(file, luaOf(load))
      const args = [`-c${connections}`, '-t1', `-d${seconds}s`, '--timeout', '10s', '-s', script]
      const output = await run('wrk', [...args, load.origin, '--', file], (seconds + 30) * 1000, signal)
      const line = /^result (\{.*\})$/m.exec(output)?.[1]
      if (!line) throw new Error(`wrk gave no result:\n${output}`)
      const { requests, micros, p50, p99, errors } = JSON.parse(line)
      return { requests, seconds: micros / 1e6, p50: p50 / 1000, p99: p99 / 1000, errors }
    }
  }
}

function luaOf({ method, headers, requests }: Load): string {
  const entries = Object.entries(headers).map(([name, value]) => `[${text(name)}]=${text(value)}`)
  const lines = requests.map(
    ({ method, path, body }) =>
      `{path=${text(path)}${method ? `,method=${text(method)}` : ''}${body === undefined ? '' : `,body=${text(body)}`}}`
  )
  return `return {
prefix=${text(newPrefix())}, seed=${randomInt(2 ** 31)}, method=${text(method)},
headers={${entries.join(',')}},
requests={${lines.join(',\n')}}}
`
}

// Lua reads what JSON writes, except for `\u`, which printable ASCII has no need of.
function text(value: string): string {
  if (!/^[\x20-\x7e]*$/.test(value)) throw new RangeError('a request has to be printable ASCII')
  return JSON.stringify(value)
}
