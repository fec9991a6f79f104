// A backup is a line with the format's version, then frames: type (1) ‖ length (4, big-endian) ‖ payload.
//
//   header                            JSON, see manifest.ts
//   table, data…, table end           for each table; data is compressed rows in COPY's text format
//   end                               JSON with the tag
//
// A table's end has the SHA-256 of all that is before it. The tag of the end is a MAC of the same.
import { createHash } from 'node:crypto'

export const FORMAT = 1
const MAGIC = 'latchkey backup '
const FIRST_LINE = Buffer.from(`${MAGIC}${FORMAT}\n`)
const HEAD_BYTES = 5
/** No payload that this version writes is longer. */
const MAX_PAYLOAD_BYTES = 1_048_576

export const FRAMES = { header: 1, table: 2, data: 3, tableEnd: 4, end: 5 } as const

export interface Frame {
  type: number
  payload: Buffer
  /** The SHA-256 of all bytes before the frame. */
  digest: Buffer
}

/** The file is not an intact backup. The message completes "this backup …". */
export class DamagedBackup extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'DamagedBackup'
  }
}

/** Makes the bytes of a backup, in order. */
export class FrameWriter {
  readonly #hash = createHash('sha256')

  /** The SHA-256 of all bytes so far. */
  get digest(): Buffer {
    return this.#hash.copy().digest()
  }

  firstLine(): Buffer {
    return this.#hashed(FIRST_LINE)
  }

  json(type: keyof typeof FRAMES, content: unknown): Buffer {
    return this.frame(type, Buffer.from(JSON.stringify(content)))
  }

  frame(type: keyof typeof FRAMES, payload: Buffer): Buffer {
    if (payload.length > MAX_PAYLOAD_BYTES) throw new RangeError('a frame of a backup is too long')
    const head = Buffer.alloc(HEAD_BYTES)
    head[0] = FRAMES[type]
    head.writeUInt32BE(payload.length, 1)
    return this.#hashed(Buffer.concat([head, payload]))
  }

  #hashed(bytes: Buffer): Buffer {
    this.#hash.update(bytes)
    return bytes
  }
}

/** Yields the frames of a backup. Throws DamagedBackup if the file is cut off, too long or not a backup. */
export async function* readFrames(source: AsyncIterable<Buffer>): AsyncGenerator<Frame, void> {
  const bytes = new ByteReader(source)
  const hash = createHash('sha256').update(await readFirstLine(bytes))
  for (;;) {
    const head = await bytes.read(HEAD_BYTES)
    if (head.length < HEAD_BYTES) throw cutOff()
    const length = head.readUInt32BE(1)
    if (length > MAX_PAYLOAD_BYTES) throw new DamagedBackup('is damaged')
    const payload = await bytes.read(length)
    if (payload.length < length) throw cutOff()
    yield { type: head[0]!, payload, digest: hash.copy().digest() }
    if (head[0] === FRAMES.end) break
    hash.update(head).update(payload)
  }
  if ((await bytes.read(1)).length > 0) throw new DamagedBackup('continues after its end')
}

const cutOff = () => new DamagedBackup('is cut off')

async function readFirstLine(bytes: ByteReader): Promise<Buffer> {
  const line = await bytes.read(FIRST_LINE.length)
  if (line.equals(FIRST_LINE)) return line
  if (line.length === 0) throw new DamagedBackup('is empty')
  const [, version] = new RegExp(`^${MAGIC}(\\d+)`).exec(line.toString('latin1')) ?? []
  if (version === undefined) throw new DamagedBackup('is not a backup of Latchkey')
  throw new DamagedBackup(
    `has the format ${version}, but this version reads the format ${FORMAT}: use a later version`
  )
}

/** Reads exact numbers of bytes from chunks of any size. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Buffer>) {
    this.#chunks = source[Symbol.asyncIterator]()
  }

  /** Returns fewer bytes only at the end of the source. */
  async read(length: number): Promise<Buffer> {
    const parts: Buffer[] = []
    for (let missing = length; missing > 0; ) {
      if (this.#rest.length === 0) {
        const { value, done } = await this.#chunks.next()
        if (done) break
        this.#rest = value
        continue
      }
      const part = this.#rest.subarray(0, missing)
      this.#rest = this.#rest.subarray(part.length)
      missing -= part.length
      parts.push(part)
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }
}
