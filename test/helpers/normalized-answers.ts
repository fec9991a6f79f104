/** Values that differ between runs: ids, tokens and times. */
const VARYING =
  /(?<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})|(?<token>lk_(?:pat|prj)_[A-Za-z0-9_-]{49})|(?<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?<milliseconds>\.\d{3})?Z)/g

/**
 * Compares the responses on a page with the real ones. An id on the page must stand for the same real id
 * everywhere.
 */
export class Answers {
  readonly #real = new Map<string, string>()
  readonly #shown = new Map<string, string>()

  /** Returns the first difference apart from ids, tokens and times, or undefined. */
  flaw(shown: unknown, real: unknown, path = ''): string | undefined {
    if (typeof shown === 'string' && typeof real === 'string') return this.textFlaw(shown, real, path)
    if (typeof shown !== 'object' || typeof real !== 'object' || shown === null || real === null) {
      return shown === real ? undefined : `${path}: ${JSON.stringify(shown)}, but was ${JSON.stringify(real)}`
    }
    if (Array.isArray(shown) !== Array.isArray(real)) return `${path}: an array on one side alone`
    const [keys, realKeys] = [Object.keys(shown), Object.keys(real)]
    if (keys.join() !== realKeys.join()) return `${path}: has ${keys}, but there were ${realKeys}`
    for (const key of keys) {
      const [one, other] = [shown, real].map((side) => (side as Record<string, unknown>)[key])
      const flaw = this.flaw(one, other, `${path}/${key}`)
      if (flaw) return flaw
    }
    return undefined
  }

  /** Returns the real id for an id on the page, or the id itself if no response on the page had it. */
  realOf(id: string): string {
    return this.#real.get(id) ?? id
  }

  textFlaw(shown: string, real: string, path = ''): string | undefined {
    const [one, other] = [shown, real].map((text) => text.replaceAll(VARYING, nameOf))
    if (one !== other) return `${path}: ${JSON.stringify(shown)}, but was ${JSON.stringify(real)}`
    const ids = [shown, real].map((text) =>
      [...text.matchAll(VARYING)].flatMap(({ groups }) => groups!.id ?? [])
    )
    for (const [index, id] of ids[0]!.entries()) {
      const realId = ids[1]![index]!
      if ((this.#real.get(id) ?? realId) !== realId || (this.#shown.get(realId) ?? id) !== id)
        return `${path}: ${id} stands for another one elsewhere on the page`
      this.#real.set(id, realId)
      this.#shown.set(realId, id)
    }
    return undefined
  }
}

function nameOf(_: string, ...rest: unknown[]): string {
  const { id, token, milliseconds } = rest.at(-1) as Record<string, string | undefined>
  if (id) return '<id>'
  if (token) return `<${token.slice(0, 7)}>`
  return milliseconds ? '<time in milliseconds>' : '<time in seconds>'
}
