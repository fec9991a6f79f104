/** As much of autocannon as is used here; it has no types of its own. */
declare module 'autocannon' {
  interface Request {
    method?: string
    path?: string
    body?: string
    headers?: Record<string, string>
    setupRequest?(request: Request): Request
  }
  interface Options {
    url: string
    connections: number
    duration: number
    timeout?: number
    requests: Request[]
  }
  interface Result {
    duration: number
    requests: { total: number }
    latency: { p50: number; p99: number }
    errors: number
    timeouts: number
    non2xx: number
  }
  interface Instance extends PromiseLike<Result> {
    stop(): void
  }
  function autocannon(options: Options): Instance
  export = autocannon
}
