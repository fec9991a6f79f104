import { sql } from 'kysely'
import type { Database } from './database.ts'
import { CannotConnect, isDatabaseError } from './errors.ts'

/** Throws if no connection can be had. */
export async function ping(db: Database): Promise<void> {
  await sql`select 1`.execute(db)
}

/** Says in a line why a connection failed. Holds no password: Postgres and Node do not repeat it. */
export function connectionFault(error: unknown): string {
  // Several servers, or a host of several addresses.
  if (error instanceof AggregateError) return [...new Set(error.errors.map(connectionFault))].join('; ')
  if (error instanceof CannotConnect) return connectionFault(error.cause)
  if (!(error instanceof Error)) return String(error)
  const [message = ''] = error.message.split('\n')
  if (isDatabaseError(error)) return message
  const { code, syscall, hostname, address, port } = error as NodeJS.ErrnoException & {
    hostname?: string
    address?: string
    port?: number
  }
  const server = port === undefined ? address : `${address}:${port}`
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the host ${hostname} is not known (${code})`
    case 'ECONNREFUSED':
      return `no server listens at ${server} (${code})`
    case 'ENOENT':
      return syscall === 'connect' ? `there is no socket ${server} (${code})` : message
    default:
      return syscall === 'connect' ? `${server} cannot be reached (${code})` : explained(message)
  }
}

function explained(message: string): string {
  if (message.includes('client password must be a string')) return 'the server asks for a password'
  if (/^timeout e|^Connection terminated due to connection timeout/.test(message))
    return 'the server does not answer in time'
  return message
}
