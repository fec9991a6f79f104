import { readFile } from 'node:fs/promises'
import type { Postgres } from './postgres.ts'

// USER_HZ is 100 on all platforms that Node supports.
const MICROS_PER_TICK = 10_000

/** CPU time of a process in microseconds, kernel and user; null without /proc. */
export async function cpuOf(pid: number): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (text === undefined) return null
  // The second field is the command, in brackets, and may contain brackets and spaces.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * MICROS_PER_TICK
}

/** Resident memory of a process in bytes; null without /proc. */
export async function residentOf(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
  return kibibytes === undefined ? null : Number(kibibytes) * 1024
}

/** CPU time of Postgres processes of one database. Sample it often: the time of ended processes is lost. */
export class DatabaseCpu {
  readonly #postgres: Postgres
  readonly #database: string
  readonly #seen = new Map<number, number>()
  #total = 0

  constructor(postgres: Postgres, database: string) {
    this.#postgres = postgres
    this.#database = database
  }

  /** Returns a running total in microseconds; null if the server is not on this machine. */
  async sample(): Promise<number | null> {
    const rows = await this.#postgres.query<{ pid: number }>(
      "select pid from pg_stat_activity where datname = $1 and backend_type = 'client backend'",
      [this.#database]
    )
    for (const { pid } of rows) {
      const command = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
      if (!command.startsWith('postgres')) continue
      const cpu = (await cpuOf(pid)) ?? 0
      this.#total += cpu - (this.#seen.get(pid) ?? 0)
      this.#seen.set(pid, cpu)
    }
    return this.#seen.size > 0 ? this.#total : null
  }
}
