import { hash } from 'node:crypto'
import packageJson from '../../package.json' with { type: 'json' }
import { foldDenials } from './audit-pages.ts'
import type { Answer } from './http.ts'

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi
/** Ids of built-in types and their fields, which are part of the API, and unused ids. */
const CONSTANT_UUID = /^(01a2004e|00000000)-/
const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z/g
const HTTP_DATE = /\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/g
const DAY_MS = 24 * 60 * 60 * 1000
const WIDTH = 110
const { version } = packageJson
/** Headers that depend on the connection, not on the request. */
const LEFT_OUT = new Set(['date', 'connection', 'keep-alive'])

/** Replaces everything that differs between runs with placeholders. One instance serves a whole run. */
export class Normaliser {
  readonly #names = new Map<string, string>()
  readonly #documents = new Map<string, string>()
  #area = ''
  #numbered = 0

  /** Ids without a name are numbered by first appearance, separately in each area. */
  area(name: string): void {
    this.#area = name
    this.#numbered = 0
  }

  /** Replaces the contract, in both forms in which the service returns it, with its name. */
  contract(yaml: string, value: unknown): void {
    this.#documents.set(yaml, '<openapi.yaml>').set(JSON.stringify(value), '<openapi.yaml as JSON>')
  }

  /** Replaces an id with this name. */
  name(id: string, name: string): void {
    if (this.#names.has(id)) throw new Error(`${name}: this id has a name already`)
    this.#names.set(id, name)
  }

  text(text: string): string {
    return text
      .replace(/"createdAt":"([^"]+)","updatedAt":"([^"]+)"/g, (whole, created, updated) =>
        created === updated ? whole : `"createdAt":"${created}","updatedAt":"<later>"`
      )
      .replace(TIME, (time, milliseconds) => {
        const isNear = Math.abs(Date.parse(time) - Date.now()) < 2 * DAY_MS
        return isNear ? (milliseconds ? '<time>' : '<time in seconds>') : time
      })
      .replace(HTTP_DATE, '<date>')
      .replace(`"version":"${version}"`, '"version":"<version>"')
      .replace(UUID, (id) => this.#placeholder(id))
      .replace(/("nextCursor":"|\bcursor=)[A-Za-z0-9_-]{60,}/g, '$1<cursor>')
      .replace(/\b(lk_(pat|prj)_)[A-Za-z0-9_-]{40,}/g, '$1<token>')
      .replace(/(latchkey_session=)[A-Za-z0-9_-]{43}/g, '$1<token>')
      .replace(/W\/"[0-9a-f]+-[0-9a-f]+"/g, 'W/"<size and date of a file>"')
      .replace(/127\.0\.0\.1:\d+/g, '<host>')
      .replace(/([a-z])\1{99,}/g, (run, letter) => `<${run.length} times ${letter}>`)
  }

  #placeholder(text: string): string {
    if (CONSTANT_UUID.test(text)) return text
    const id = text.toLowerCase()
    if (!this.#names.has(id)) this.#names.set(id, `${this.#area}:${++this.#numbered}`)
    const name = this.#names.get(id)!
    return `<${text === id ? name : name.toUpperCase()}>`
  }

  /** Header lines, sorted by name. */
  headers({ headers, text }: Answer, requestId: string, isHead = false): [string, string][] {
    const length = String(Buffer.byteLength(text))
    return headers
      .filter(([name]) => !LEFT_OUT.has(name))
      .map(([name, value]): [string, string] => {
        if (name === 'content-length' && value === length) return [name, '<that of the body>']
        if (name === 'content-length' && isHead) return [name, '<that of a GET>']
        if (name === 'x-request-id' && value === requestId) return [name, '<as sent>']
        if (name === 'etag' && /^"[\w-]{22}(-gzip)?"$/.test(value)) return [name, '<hash>']
        if (name === 'retry-after' && Number(value) > 600) return [name, '<up to 900>']
        return [name, this.text(value)]
      })
      .sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0))
  }

  body({ headers, text }: Answer, requestId: string): string {
    const type = new Map(headers).get('content-type') ?? ''
    const ownId = `"requestId":${JSON.stringify(requestId)}`
    const document = this.#documents.get(text)
    if (document) return document
    if (!type.includes('json') || text === '') return text.length > 4_000 ? `<${type}>` : this.text(text)
    const normal = this.text(foldDenials(text).replace(ownId, '"requestId":"<as sent>"'))
    if (normal.length > 100_000) return `<${type}, SHA-256 ${hash('sha256', normal)}>`
    const value: unknown = JSON.parse(normal)
    // Formatted only if that loses nothing, such as the order of keys or the notation of numbers.
    return JSON.stringify(value) === normal ? layOut(value) : normal
  }
}

/** Formats JSON in readable lines. Without line breaks and indentation, it is the text that was sent. */
function layOut(value: unknown, indent = ''): string {
  const flat = JSON.stringify(value)
  if (typeof value !== 'object' || value === null || indent.length + flat.length <= WIDTH) return flat
  const inner = `${indent}  `
  const isArray = Array.isArray(value)
  const lines = Object.entries(value).map(
    ([key, member]) => `${inner}${isArray ? '' : `${JSON.stringify(key)}:`}${layOut(member, inner)}`
  )
  return `${isArray ? '[' : '{'}\n${lines.join(',\n')}\n${indent}${isArray ? ']' : '}'}`
}
