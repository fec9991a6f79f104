import { randomInt } from 'node:crypto'
import { type Generator, newPrefix } from './load.ts'

/** autocannon in this process. Its latencies are whole milliseconds. */
export function generator(): Generator {
  return {
    name: 'autocannon',
    async run({ origin, method, headers, requests }, connections, seconds, signal) {
      signal.throwIfAborted()
      const { default: autocannon } = await import('autocannon')
      const prefix = newPrefix()
      let count = 0
      const pick = () => {
        const { method: own = method, path, body } = requests[randomInt(requests.length)]!
        return {
          method: own,
          path,
          headers,
          ...(body !== undefined && { body: body.replace('{n}', () => `${prefix}${++count}`) })
        }
      }
      const running = autocannon({
        url: origin,
        connections,
        duration: seconds,
        timeout: 10,
        requests: [{ ...pick(), setupRequest: pick }]
      })
      const stop = () => running.stop()
      signal.addEventListener('abort', stop, { once: true })
      const result = await running
      signal.removeEventListener('abort', stop)
      signal.throwIfAborted()
      return {
        requests: result.requests.total,
        seconds: result.duration,
        p50: result.latency.p50,
        p99: result.latency.p99,
        errors: result.errors + result.timeouts + result.non2xx
      }
    }
  }
}
