import { createServer, type Server } from 'node:net'
import { type Config, ConfigError } from './config.ts'

interface Place {
  host: { variable: string; value: string }
  port: { variable: string; value: number }
}

type Ports = Pick<Config, 'host' | 'port' | 'metricsHost' | 'metricsPort'>

function placesOf({ host, port, metricsHost, metricsPort }: Ports): Place[] {
  const main = { host: { variable: 'HOST', value: host }, port: { variable: 'PORT', value: port } }
  if (metricsPort === undefined) return [main]
  const metrics = {
    host: { variable: 'METRICS_HOST', value: metricsHost },
    port: { variable: 'METRICS_PORT', value: metricsPort }
  }
  return [main, metrics]
}

/** Listens briefly on each port. Throws a ConfigError if that fails, before the start creates anything. */
export async function requireFreePorts(config: Ports): Promise<void> {
  const probes: Server[] = []
  try {
    for (const place of placesOf(config)) {
      // A client that connected would keep the probe from closing.
      const probe = createServer((client) => client.destroy())
      await listen(probe, place).catch((error) => {
        const isOwn = error.code === 'EADDRINUSE' && probes.length > 0 && place.port.value === config.port
        throw isOwn ? samePort(place) : listenFault(error, place)
      })
      probes.push(probe)
    }
  } finally {
    await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))))
  }
}

const samePort = ({ port }: Place) =>
  new ConfigError(port.variable, `must be another port than PORT: both are ${port.value}`)

function listen(server: Server, { host, port }: Place): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port.value, host.value, resolve)
  })
}

/** Converts an error of `listen` to a ConfigError. Returns any other error unchanged. */
export function portFault(error: Error, config: Ports): Error {
  const { port, hostname } = error as { port?: number; hostname?: string }
  const place = placesOf(config).find((one) => one.port.value === port || one.host.value === hostname)
  return place ? listenFault(error, place) : error
}

function listenFault(error: NodeJS.ErrnoException, { host, port }: Place): Error {
  switch (error.code) {
    case 'EADDRINUSE':
      return new ConfigError(
        port.variable,
        `must be a free port: another program is listening on ${host.value}:${port.value}; ` +
          `stop it, or set ${port.variable} to another port`
      )
    case 'EACCES':
      return new ConfigError(
        port.variable,
        `must be a port that this user may open: opening ${port.value} is not permitted`
      )
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
    case 'EINVAL':
      return new ConfigError(
        host.variable,
        `must be an address of this machine: ${host.value} is not one (${error.code})`
      )
    default:
      return error
  }
}
