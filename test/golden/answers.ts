import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Exchange } from './recorder.ts'

const FOLDER = join(import.meta.dirname, 'answers')
const COMMON = 'common-headers'
const MARK = '### '

type Texts = Map<string, string>

/**
 * Returns the answers as texts, by area and by name. The headers that most answers share are stored once, as
 * `common-headers`; each answer lists only the headers that differ.
 */
export function textsOf(areas: ReadonlyMap<string, ReadonlyMap<string, Exchange>>): Map<string, Texts> {
  const common = commonHeaders([...areas.values()].flatMap((area) => [...area.values()]))
  const texts = new Map([[COMMON, new Map([['headers', linesOf(common).join('\n')]])]])
  for (const [area, exchanges] of areas)
    texts.set(area, new Map([...exchanges].map(([name, exchange]) => [name, textOf(exchange, common)])))
  return texts
}

function textOf({ requests, status, headers, body }: Exchange, common: ReadonlyMap<string, string>): string {
  const names = new Set(headers.map(([name]) => name))
  const own = headers.length === 0 ? [] : [...common.keys()].filter((name) => !names.has(name))
  const differing = headers.filter(([name, value]) => common.get(name) !== value)
  const lines = [...linesOf(differing), ...own.map((name) => `${name} (none)`)]
  return [...requests, String(status), ...lines, ...(body === '' ? [] : ['', body])].join('\n').trimEnd()
}

function commonHeaders(exchanges: readonly Exchange[]): Map<string, string> {
  const counts = new Map<string, number>()
  for (const { headers } of exchanges)
    for (const header of headers) {
      const key = JSON.stringify(header)
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
  const common = [...counts].filter(([, count]) => count > exchanges.length / 2)
  return new Map(common.map(([key]) => JSON.parse(key) as [string, string]).sort())
}

const linesOf = (headers: Iterable<[string, string]>) =>
  [...headers].map(([name, value]) => `${name}: ${value}`)

export async function writeAnswers(texts: ReadonlyMap<string, Texts>): Promise<void> {
  await rm(FOLDER, { recursive: true, force: true })
  await mkdir(FOLDER)
  for (const [area, answers] of texts) {
    const text = [...answers].map(([name, answer]) => `${MARK}${name}\n${answer}\n`).join('\n')
    await writeFile(join(FOLDER, `${area}.txt`), text)
  }
}

export async function readAnswers(): Promise<Map<string, Texts>> {
  const files = await readdir(FOLDER).catch(() => [])
  const areas = files.sort().map(async (file): Promise<[string, Texts]> => {
    const text = `\n${await readFile(join(FOLDER, file), 'utf8')}`
    const answers = text.split(`\n${MARK}`).slice(1)
    const texts = answers.map((answer): [string, string] => {
      const end = answer.indexOf('\n')
      return [answer.slice(0, end), answer.slice(end + 1).trimEnd()]
    })
    return [file.replace(/\.txt$/, ''), new Map(texts)]
  })
  return new Map(await Promise.all(areas))
}
