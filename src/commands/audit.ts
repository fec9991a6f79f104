import { GENESIS } from '../audit/chain.ts'
import type { ChainHead } from '../audit/chain-repository.ts'
import { exportLines } from '../audit/export.ts'
import { type ChainFault, type Verdict, verifyChain } from '../audit/verify.ts'
import type { Database } from '../db/database.ts'
import { print } from '../terminal.ts'
import { findVerifiableHead } from './audit-archive.ts'
import { type Command, withDatabase } from './command.ts'

const PROGRESS_MS = 5_000

export const auditCommands: Record<string, Command> = {
  'audit verify': {
    description: 'verify the hash chain of the audit log, and report the first event that is not intact',
    details: `If an event was changed, removed or added, the command names the first one and exits with 1.
Otherwise it prints the head: a position and a hash. Keep the head elsewhere. With \`--from\`, a later run
checks that the chain still contains that head, and verifies only the events after it. Every five seconds, the
command prints the head that it has reached. See [the audit log](../operations/audit-log.md).`,
    example: 'latchkey audit verify --json',
    options: ['from', 'json'],
    run(config, { options: { from, json = false } }) {
      // Before the first event is sealed, `audit verify` prints position 0: accept it too.
      const head = from === undefined || from === textOf(GENESIS) ? undefined : parseHead(from)
      const findStart = (db: Database) => findVerifiableHead(config, db, head)
      return withDatabase(config, (db) => verify(db, findStart, json), { query_timeout: 0 })
    }
  },
  'audit export': {
    description: 'print all audit events as JSON Lines, oldest first',
    details: 'Events that are no longer in the database are in the files of `audit archive`.',
    example: 'latchkey audit export > events.jsonl',
    onlyPrints: true,
    run: (config) =>
      withDatabase(config, async (db) => {
        for await (const line of exportLines(db)) print(line)
      })
  }
}

/** A head in the form of `--from`. */
const textOf = ({ position, hash }: ChainHead) => `${position}:${hash.toString('hex')}`

function parseHead(text: string): ChainHead {
  const [, position, hash] = /^([1-9]\d{0,14}):([0-9a-f]{64})$/i.exec(text) ?? []
  if (position === undefined || hash === undefined)
    throw new Error('--from takes a position and a hash in hexadecimal, such as 1500:9f86d081…')
  return { position: Number(position), hash: Buffer.from(hash, 'hex') }
}

type FindStart = (db: Database) => Promise<ChainHead | undefined>

/** Verifies from the start that is found. Starts again if `audit archive` drops events meanwhile. */
export async function verifyFromStart(
  db: Database,
  findStart: FindStart
): Promise<{ from?: ChainHead } & Verdict> {
  for (let from = await findStart(db); ; ) {
    const progress = printProgress()
    const verdict = await verifyChain(db, { ...(from && { from }), onProgress: progress.show }).finally(
      progress.end
    )
    const now = verdict.broken ? await findStart(db) : from
    if (now?.position === from?.position) return { ...(from && { from }), ...verdict }
    from = now
  }
}

async function verify(db: Database, findStart: FindStart, json: boolean): Promise<void> {
  const { from, verified, unsealed, head, broken } = await verifyFromStart(db, findStart)
  if (json) {
    const plain = ({ position, hash }: ChainHead) => ({ position, hash: hash.toString('hex') })
    print(
      JSON.stringify({
        from: from ? plain(from) : null,
        verified,
        unsealed,
        head: plain(head),
        broken: broken ?? null
      })
    )
  }
  if (broken) throw new Error(describe(broken, verified))
  if (json) return
  const after = from ? ` after position ${from.position}` : ''
  print(
    `${verified} events${after} are intact, ${unsealed} are not sealed yet. ` +
      `Head: ${head.position} ${head.hash.toString('hex')}`
  )
}

/** Prints where an interrupted verification can continue: every few seconds, and when the process ends. */
function printProgress() {
  let printedAt = Number.NEGATIVE_INFINITY
  let head: ChainHead | undefined
  const printHead = () => {
    if (head) process.stderr.write(`Intact up to ${textOf(head)}\n`)
    head = undefined
    printedAt = performance.now()
  }
  process.on('exit', printHead)
  return {
    show(now: ChainHead) {
      head = now
      if (performance.now() - printedAt >= PROGRESS_MS) printHead()
    },
    end() {
      process.off('exit', printHead)
    }
  }
}

export function describe({ what, position, id }: ChainFault, verified: number): string {
  if (what === 'replaced') return `the chain differs from the given head at position ${position}`
  if (what === 'cut') return `the chain differs from the given head: it ends before position ${position}`
  const event = id ? `event ${id}` : 'the event'
  const fault = what === 'missing' ? 'is missing' : `was ${what}`
  return position
    ? `${event} at position ${position} of the hash chain ${fault}; ${verified} events before it are intact`
    : `${event} ${fault} and is not in the hash chain; ${verified} events in the chain are intact`
}
