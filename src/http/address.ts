import { isIP, SocketAddress } from 'node:net'
import type { FastifyRequest } from 'fastify'

/**
 * Returns the address that a request comes from: an IP address without a port, brackets or zone, each in one
 * spelling, with IPv4 in its own form. Uses X-Forwarded-For as far as TRUST_PROXY says, and the peer's own
 * address if a proxy sent something else there. Returns an empty text if the peer has none, such as on a
 * closed connection.
 */
export function addressOf(request: FastifyRequest): string {
  return plainAddress(request.ip) ?? plainAddress(request.socket.remoteAddress) ?? ''
}

/** The longest IPv6 address with a zone, in brackets and with a port, is shorter. */
const MAX_LENGTH = 100

function plainAddress(text: string | undefined): string | undefined {
  if (!text || text.length > MAX_LENGTH) return undefined
  const [, bracketed] = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text.trim()) ?? []
  const [, beforePort] = /^([\d.]+):\d{1,5}$/.exec(text.trim()) ?? []
  const [address = ''] = (bracketed ?? beforePort ?? text.trim()).split('%')
  if (isIP(address) !== 6) return isIP(address) ? address : undefined
  const ipv6 = new SocketAddress({ address, family: 'ipv6' }).address
  return /^::ffff:([\d.]+)$/.exec(ipv6)?.[1] ?? ipv6
}
