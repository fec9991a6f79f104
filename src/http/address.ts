import { isIP, SocketAddress } from 'node:net'
import { normalizeIP } from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'

/**
 * Returns the IP address of the client in canonical form: without port, brackets or zone, and as IPv4 if it
 * is an IPv4-mapped address. Uses X-Forwarded-For if TRUST_PROXY allows it and it contains an address, and
 * the address of the peer otherwise. Returns an empty string if there is none, such as on a closed
 * connection.
 */
export function addressOf(request: FastifyRequest): string {
  return plainAddress(request.ip) ?? plainAddress(request.socket.remoteAddress) ?? ''
}

/**
 * Returns what limits count as one address: of an IPv6 address its /64 network, because whoever has one
 * address usually has the whole network.
 */
export function networkOf(address: string): string {
  return normalizeIP(address, 64)
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
