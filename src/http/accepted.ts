import type { FastifyReply } from 'fastify'

/**
 * Returns the weight that a header such as `Accept` gives to the first of the names that it contains; 0 if it
 * contains none of them (RFC 9110, 12.4.2).
 */
function weightOf(header: string, names: readonly string[]): number {
  const weights = new Map(
    header
      .toLowerCase()
      .split(',')
      .map((entry) => {
        const [name = '', ...parameters] = entry.split(';').map((part) => part.trim())
        const weight = parameters.find((parameter) => parameter.startsWith('q='))
        return [name, weight ? Number(weight.slice(2)) || 0 : 1]
      })
  )
  const name = names.find((one) => weights.has(one))
  return name === undefined ? 0 : weights.get(name)!
}

/** Returns true if `Accept` prefers HTML to JSON, as that of browsers does. */
export function prefersHtml(accept = '*/*'): boolean {
  return (
    weightOf(accept, ['text/html', 'text/*', '*/*']) >
    weightOf(accept, ['application/json', 'application/*', '*/*'])
  )
}

export function acceptsGzip(acceptEncoding = ''): boolean {
  return weightOf(acceptEncoding, ['gzip', '*']) > 0
}

/** Adds the header to `Vary`. */
export function varyBy(reply: FastifyReply, header: string): void {
  reply.header('vary', [reply.getHeader('vary') ?? [], header].flat().join(', '))
}
