// A part of the audit log as three files, whose names have its first and last position:
//
//   audit-000000000001-000000004711.jsonl.gz    an event a line: {"hash":"…","event":[position,…]}
//   audit-000000000001-000000004711.head.json   what is signed, with the SHA-256 of the file above
//   audit-000000000001-000000004711.head.sig    the Ed25519 signature of the file above, 64 bytes
import { createHash, randomUUID } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'

export function baseNameOf(first: number, last: number): string {
  const digits = (position: number) => String(position).padStart(12, '0')
  return `audit-${digits(first)}-${digits(last)}`
}

/** Writes lines, compressed, and returns the SHA-256 of the file in hex. */
export async function writeLines(path: string, lines: AsyncIterable<string>): Promise<string> {
  const hash = createHash('sha256')
  await writeWhole(path, (file) =>
    pipeline(Readable.from(lines), createGzip(), async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        hash.update(chunk)
        await file.appendFile(chunk)
      }
    })
  )
  return hash.digest('hex')
}

export function writeBytes(path: string, bytes: Buffer): Promise<void> {
  return writeWhole(path, (file) => file.writeFile(bytes))
}

/** Writes the file atomically and to disk. Replaces a file with the same name. */
async function writeWhole(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const draft = `${path}.${randomUUID()}.tmp`
  const file = await open(draft, 'wx', 0o600)
  try {
    try {
      await write(file)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
  const directory = await open(join(path, '..'))
  await directory.sync().finally(() => directory.close())
}
