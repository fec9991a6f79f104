import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

const given = new Set<number>()

/**
 * Finds a port of 127.0.0.1 on which nothing listens, another one at each call. It is below the ports that
 * systems give to outgoing connections, so that none of these takes it in the meantime.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000)
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    return port
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  const failed = once(server, 'error').then(() => false)
  const listening = new Promise<boolean>((resolve) => {
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
  return Promise.race([listening, failed])
}
