import { randomBytes } from 'node:crypto'
import * as autocannon from './load-autocannon.ts'
import * as wrk from './load-wrk.ts'

/** One request; `{n}` in the body stands for something that no other request of the run has. */
export interface Request {
  method?: string
  path: string
  body?: string
}

/** What is asked of one server: a random one of the requests, again and again. */
export interface Load {
  origin: string
  method: string
  headers: Record<string, string>
  requests: readonly Request[]
}

export interface Answered {
  requests: number
  seconds: number
  /** Milliseconds. */
  p50: number
  p99: number
  /** Answers that are none of 2xx, and those that did not come. */
  errors: number
}

export interface Generator {
  name: string
  run(load: Load, connections: number, seconds: number, signal: AbortSignal): Promise<Answered>
}

/** wrk when it is there, because it leaves the service more of the CPU; else autocannon. */
export async function findGenerator(directory: string): Promise<Generator> {
  return (await wrk.isThere()) ? wrk.generator(directory) : autocannon.generator()
}

/** What makes the names of one run of the generator its own. */
export function newPrefix(): string {
  return `${randomBytes(5).toString('hex')}-`
}
