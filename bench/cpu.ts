import { readdir, readFile } from 'node:fs/promises'

// USER_HZ, which Linux shows to programs as 100 a second on every machine that Node runs on.
const MICROS_PER_TICK = 10_000

interface Stat {
  ppid: number
  own: number
  /** Of the children that ended and were waited for. */
  children: number
}

async function statOf(pid: number | string): Promise<Stat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  // The command comes second, in brackets, and may hold brackets and spaces. What follows is one field a space.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  return {
    ppid: fields[1]!,
    own: (fields[11]! + fields[12]!) * MICROS_PER_TICK,
    children: (fields[13]! + fields[14]!) * MICROS_PER_TICK
  }
}

/** The microseconds of CPU that a process has had, kernel and user; null where there is no /proc. */
export async function cpuOf(pid: number): Promise<number | null> {
  return (await statOf(pid))?.own ?? null
}

/** The same of a process and its children, those that ended included; null where there is no /proc. */
export async function cpuOfFamily(parent: number | null): Promise<number | null> {
  const stat = parent === null ? undefined : await statOf(parent)
  if (!stat) return null
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const others = await Promise.all(pids.map(statOf))
  return others.reduce(
    (sum, other) => sum + (other?.ppid === parent ? other.own : 0),
    stat.own + stat.children
  )
}

/** The postmaster of a server's process on this machine; null when it runs elsewhere or there is no /proc. */
export async function postmasterOf(backendPid: number): Promise<number | null> {
  const comm = await readFile(`/proc/${backendPid}/comm`, 'utf8').catch(() => '')
  return comm.startsWith('postgres') ? ((await statOf(backendPid))?.ppid ?? null) : null
}

/** Resident bytes of a process; null where there is no /proc. */
export async function residentOf(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
  return kibibytes === undefined ? null : Number(kibibytes) * 1024
}
