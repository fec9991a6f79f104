import { GENESIS } from './chain.ts'
import type { ChainHead } from './chain-repository.ts'
import { columns } from './event-repository.ts'

/** Creates and verifies signatures with a key of the installation. */
export interface Signer {
  sign(data: Buffer): Buffer
  verify(data: Buffer, signature: Buffer): boolean
}

/** The signed end of an exported part of the chain, as it is stored. */
export interface StoredHead extends ChainHead {
  /** The signed bytes, the JSON text of a `Head`. */
  head: Buffer
  signature: Buffer
}

/** An exported part of the chain, before its head is signed. */
export interface ExportedPart {
  file: string
  sha256: string
  /** The last event before the part. */
  from: ChainHead
  /** The last event of the part. */
  to: ChainHead
  firstEventAt: Date
  lastEventAt: Date
}

const FORMAT = 'latchkey-audit-head/1'

const link = ({ position, hash }: ChainHead) => ({ position, hash: hash.toString('hex') })

export function signHead(part: ExportedPart, signer: Signer): StoredHead {
  const { file, sha256, from, to, firstEventAt, lastEventAt } = part
  const head = {
    format: FORMAT,
    file,
    sha256,
    events: to.position - from.position,
    from: link(from),
    to: link(to),
    firstEventAt: firstEventAt.toISOString(),
    lastEventAt: lastEventAt.toISOString(),
    columns: ['position', ...columns]
  }
  const bytes = Buffer.from(`${JSON.stringify(head, null, 2)}\n`)
  return { ...to, head: bytes, signature: signer.sign(bytes) }
}

/**
 * Verifies that each head is signed and begins where the previous one ends. Returns the last head, or the
 * head of the empty chain if there are none. Throws if a head is invalid.
 */
export function verifyHeads(heads: readonly StoredHead[], signer: Signer): ChainHead {
  let last = GENESIS
  for (const { position, hash, head, signature } of heads) {
    const fault = (what: string) =>
      new Error(`the signed head at position ${position} of the hash chain ${what}`)
    if (!signer.verify(head, signature)) throw fault('was not signed by this installation')
    const { from, to } = JSON.parse(head.toString()) as Record<'from' | 'to', ReturnType<typeof link>>
    const isStored = to.position === position && to.hash === hash.toString('hex')
    if (!isStored) throw fault('differs from the head that was signed')
    const isNext = from.position === last.position && from.hash === last.hash.toString('hex')
    if (!isNext) throw fault(`does not follow the head at position ${last.position}`)
    last = { position, hash }
  }
  return last
}
