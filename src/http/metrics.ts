import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** The service's metrics. No label contains an id, a name, or anything else that a caller sent. */
export interface Metrics {
  /** Features register their own gauges here. */
  readonly registry: Registry
  /** The listener's address; undefined without METRICS_PORT. */
  address: AddressInfo | undefined
  readonly decryptionFailures: Counter<'where'>
  readonly keyringRefreshFailures: Counter
  readonly limitedRequests: Counter<'by'>
  readonly shedRequests: Counter
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly metrics: Metrics
  }
}

const CACHE_MS = 15_000

/**
 * Serves Prometheus metrics, of the service and of its process, if METRICS_PORT is set. They have a listener
 * of their own, without authentication, so that the public port never shows them.
 */
export const metrics = fp(
  async (app) => {
    const { metricsPort, metricsHost } = app.services.config
    const registry = new Registry()
    const metrics: Metrics = {
      registry,
      address: undefined,
      decryptionFailures: new Counter({
        name: 'latchkey_decryption_failures_total',
        help: 'Stored values that could not be decrypted, by where they were read',
        labelNames: ['where'],
        registers: [registry]
      }),
      keyringRefreshFailures: new Counter({
        name: 'latchkey_keyring_refresh_failures_total',
        help: 'Failed attempts to read or unwrap the data keys while the service was running',
        registers: [registry]
      }),
      limitedRequests: new Counter({
        name: 'latchkey_requests_limited_total',
        help: 'Requests refused with 429, by limit: caller, address or long-reads',
        labelNames: ['by'],
        registers: [registry]
      }),
      shedRequests: new Counter({
        name: 'latchkey_requests_shed_total',
        help: 'Requests refused with 503 because the event loop lagged',
        registers: [registry]
      })
    }
    app.decorate('metrics', metrics)
    for (const where of ['request', 're-encryption']) metrics.decryptionFailures.inc({ where }, 0)
    for (const by of ['caller', 'address', 'long-reads']) metrics.limitedRequests.inc({ by }, 0)
    if (metricsPort === undefined) return

    measureRequests(app, registry)
    collectDefaultMetrics({ register: registry })
    const server = serve(app, registry)
    // If the port is in use, the start fails, as with the port of the service.
    app.addHook('onReady', async () => {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(metricsPort, metricsHost, resolve)
      })
      metrics.address = server.address() as AddressInfo
      app.log.info({ address: metrics.address.address, port: metrics.address.port }, 'metrics are served')
    })
    app.addHook('onClose', async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    })
  },
  { name: 'metrics', fastify: '5.x', dependencies: ['services'] }
)

/** Calls `read` at most every 15 seconds, so that frequent scrapes do not load the database. */
export function cached<T>(read: () => Promise<T>): () => Promise<T> {
  let until = 0
  let last: Promise<T>
  return () => {
    if (performance.now() < until) return last
    until = performance.now() + CACHE_MS
    last = read()
    return last
  }
}

/**
 * Registers a gauge that reads its values on each scrape. If reading fails, the scrape leaves this gauge out.
 */
export function gaugeOf<Label extends string = never>(
  registry: Registry,
  options: { name: string; help: string; labelNames?: readonly Label[] },
  read: () => Promise<readonly { labels?: Record<Label, string>; value: number }[]>
): void {
  new Gauge<Label>({
    ...options,
    registers: [registry],
    async collect() {
      const series = await read().catch(() => [])
      this.reset()
      // reset() sets a gauge without labels to 0, which would be a value.
      if (!options.labelNames?.length) this.remove()
      for (const { labels, value } of series) this.set((labels ?? {}) as Record<Label, string>, value)
    }
  })
}

function measureRequests(app: FastifyInstance, registry: Registry): void {
  const counter = new Counter({
    name: 'latchkey_http_requests_total',
    help: 'Requests with a response',
    labelNames: ['method', 'route', 'status'] as const,
    registers: [registry]
  })
  const histogram = new Histogram({
    name: 'latchkey_http_request_duration_seconds',
    help: 'Seconds from the first byte of a request to the last byte of its response',
    labelNames: ['method', 'route'] as const,
    buckets: [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers: [registry]
  })
  // Looking a series up by its labels is slow, so each is looked up once.
  interface Series {
    count: Counter.Internal
    duration: Histogram.Internal<'method' | 'route'>
  }
  const cache = new Map<string, Series>()
  app.addHook('onResponse', (request: FastifyRequest, reply: FastifyReply, done) => {
    const { method } = request
    const route = request.routeOptions.url ?? 'unknown'
    const status = `${Math.trunc(reply.statusCode / 100)}xx`
    const key = `${method} ${route} ${status}`
    let series = cache.get(key)
    if (!series) {
      series = {
        count: counter.labels({ method, route, status }),
        duration: histogram.labels({ method, route })
      }
      cache.set(key, series)
    }
    series.count.inc()
    series.duration.observe(reply.elapsedTime / 1000)
    done()
  })
}

function serve(app: FastifyInstance, registry: Registry): Server {
  const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, (request, response) => {
    const isScrape = request.method === 'GET' && request.url?.split('?')[0] === '/metrics'
    if (!isScrape) {
      response.writeHead(404).end()
      return
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error) => {
        app.log.error({ err: error }, 'metrics could not be read')
        response.writeHead(500).end()
      }
    )
  })
  return server
}
