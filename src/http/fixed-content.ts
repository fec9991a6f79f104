import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { acceptsGzip, varyBy } from './accepted.ts'
import { open } from './guard.ts'

const compress = promisify(gzip)

interface Made {
  plain: Buffer
  compressed: Buffer
  hash: string
}

/** Content that does not change while the process runs. It is created and compressed on first use. */
export class FixedContent {
  readonly type: string
  readonly #load: () => string | Promise<string>
  #made: Promise<Made> | undefined

  constructor(type: string, load: () => string | Promise<string>) {
    this.type = type
    this.#load = load
  }

  /**
   * Returns the content, its compressed form and its hash. Concurrent callers share one computation.
   */
  made(): Promise<Made> {
    this.#made ??= this.#make().catch((error: unknown) => {
      this.#made = undefined
      throw error
    })
    return this.#made
  }

  async #make(): Promise<Made> {
    const plain = Buffer.from(await this.#load())
    const hash = createHash('sha256').update(plain).digest('base64url').slice(0, 22)
    return { plain, compressed: await compress(plain), hash }
  }
}

/**
 * Serves the content, or what the function returns for a request, without authentication. Responds with 304
 * if the client already has it. If the query parameter `v` is the hash of the content, the response may be
 * cached forever.
 */
export function serveFixed(
  app: FastifyInstance,
  url: string,
  content: FixedContent | ((request: FastifyRequest) => FixedContent),
  headers: Record<string, string> = {}
): void {
  app.get<{ Querystring: { v?: unknown } }>(
    url,
    { schema: { hide: true }, preHandler: open },
    async (request, reply) => {
      const served = typeof content === 'function' ? content(request) : content
      const { plain, compressed, hash } = await served.made()
      const isCompressed = acceptsGzip(request.headers['accept-encoding'])
      const etag = isCompressed ? `"${hash}-gzip"` : `"${hash}"`
      reply.headers({
        ...headers,
        etag,
        'cache-control': request.query.v === hash ? 'public, max-age=31536000, immutable' : 'no-cache'
      })
      varyBy(reply, 'accept-encoding')
      if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send()
      if (isCompressed) reply.header('content-encoding', 'gzip')
      return reply.type(served.type).send(isCompressed ? compressed : plain)
    }
  )
}

// Proxies that compress responses turn strong tags into weak ones.
function isKnown(ifNoneMatch = '', etag: string): boolean {
  return ifNoneMatch.split(',').some((tag) => ['*', etag].includes(tag.trim().replace(/^W\//, '')))
}
