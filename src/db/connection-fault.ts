import { sql } from 'kysely'
import type { Database } from './database.ts'
import { CannotConnect, isDatabaseError } from './errors.ts'

/** Throws if no connection can be opened. */
export async function ping(db: Database): Promise<void> {
  await sql`select 1`.execute(db)
}

/** Returns one line that says why a connection failed. It has no password: Postgres and Node repeat none. */
export function connectionFault(error: unknown): string {
  // Several servers, or a host with several addresses.
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
      return `unknown host ${hostname} (${code})`
    case 'ECONNREFUSED':
      return `no server is listening on ${server} (${code})`
    case 'ENOENT':
      return syscall === 'connect' ? `the socket ${server} does not exist (${code})` : message
    default:
      return syscall === 'connect' ? `${server} cannot be reached (${code})` : explained(message)
  }
}

function explained(message: string): string {
  if (message.includes('client password must be a string')) return 'the server requires a password'
  if (/^timeout e|^Connection terminated due to connection timeout/.test(message))
    return 'the server did not respond in time'
  return message
}
