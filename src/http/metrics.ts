import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ELDHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** What is measured. No label holds an id, a name, or anything else that was sent. */
export interface Metrics {
  /** For what a feature measures of its own. */
  readonly registry: Registry
  /** Where it is served; undefined when it is not. */
  address: AddressInfo | undefined
  readonly decryptionFailures: Counter<'where'>
  readonly keyringRefreshFailures: Counter
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly metrics: Metrics
  }
}

/** How old an answer of the database may be that a scrape gives. */
const CACHED_MS = 15_000

/**
 * Counts what operators watch, and serves it as Prometheus text on a port and host of its own, if there is a port: what
 * it says is for the operator, so it is nowhere on the public one and asks for no password.
 */
export const metrics = fp(
  async (app) => {
    const { metricsPort, metricsHost } = app.services.config
    const registry = new Registry()
    const made: Metrics = {
      registry,
      address: undefined,
      decryptionFailures: new Counter({
        name: 'latchkey_decryption_failures_total',
        help: 'Stored values that did not open, by where they were met',
        labelNames: ['where'],
        registers: [registry]
      }),
      keyringRefreshFailures: new Counter({
        name: 'latchkey_keyring_refresh_failures_total',
        help: 'How often the data keys could not be read or unwrapped while the service ran',
        registers: [registry]
      })
    }
    app.decorate('metrics', made)
    for (const where of ['request', 're-encryption']) made.decryptionFailures.inc({ where }, 0)
    if (metricsPort === undefined) return

    measureRequests(app, registry)
    const delay = measureProcess(registry)
    const server = serve(app, registry)
    // A port that is taken stops the start, like the service's own.
    app.addHook('onReady', async () => {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(metricsPort, metricsHost, resolve)
      })
      made.address = server.address() as AddressInfo
      app.log.info({ address: made.address.address, port: made.address.port }, 'metrics are served')
    })
    app.addHook('onClose', async () => {
      delay.disable()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    })
  },
  { name: 'metrics', fastify: '5.x', dependencies: ['services'] }
)

/** Gives what `read` gives, which reads the database, and the same again for a while: a scrape costs little, however often. */
export function cached<T>(read: () => Promise<T>): () => Promise<T> {
  let until = 0
  let last: Promise<T>
  return () => {
    if (performance.now() < until) return last
    until = performance.now() + CACHED_MS
    last = read()
    return last
  }
}

/** A gauge whose values are read when it is scraped; absent when that fails, as the others are not. */
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
      // Without labels it is 0 then, which would say something.
      if (!options.labelNames?.length) this.remove()
      for (const { labels, value } of series) this.set((labels ?? {}) as Record<Label, string>, value)
    }
  })
}

function measureRequests(app: FastifyInstance, registry: Registry): void {
  const counter = new Counter({
    name: 'latchkey_http_requests_total',
    help: 'Requests answered',
    labelNames: ['method', 'route', 'status'] as const,
    registers: [registry]
  })
  const histogram = new Histogram({
    name: 'latchkey_http_request_duration_seconds',
    help: 'From the first byte of a request to the last of its answer',
    labelNames: ['method', 'route'] as const,
    buckets: [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers: [registry]
  })
  // The library finds a series by building a text of its labels; here each is found once.
  const known = new Map<
    string,
    { count: Counter.Internal; duration: Histogram.Internal<'method' | 'route'> }
  >()
  app.addHook('onResponse', (request: FastifyRequest, reply: FastifyReply, done) => {
    const route = request.routeOptions.url ?? 'unknown'
    const key = `${request.method} ${route} ${Math.trunc(reply.statusCode / 100)}`
    let series = known.get(key)
    if (!series) {
      const { method } = request
      const status = `${Math.trunc(reply.statusCode / 100)}xx`
      series = {
        count: counter.labels({ method, route, status }),
        duration: histogram.labels({ method, route })
      }
      known.set(key, series)
    }
    series.count.inc()
    series.duration.observe(reply.elapsedTime / 1000)
    done()
  })
}

function measureProcess(registry: Registry): ELDHistogram {
  const registers = [registry]
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory',
    registers,
    collect() {
      this.set(process.memoryUsage.rss())
    }
  })
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system CPU time',
    registers,
    collect() {
      const { user, system } = process.cpuUsage()
      this.reset()
      this.inc((user + system) / 1e6)
    }
  })
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'When the process began, as Unix time',
    registers,
    collect() {
      this.set(performance.timeOrigin / 1000)
    }
  })
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  new Gauge({
    name: 'nodejs_eventloop_lag_p99_seconds',
    help: 'The 99th percentile of the event loop’s delay since the last scrape',
    registers,
    collect() {
      this.set(delay.count > 0 ? delay.percentile(99) / 1e9 : 0)
      delay.reset()
    }
  })
  return delay
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
