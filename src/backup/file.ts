import { randomUUID } from 'node:crypto'
import { createReadStream, rmSync } from 'node:fs'
import { open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { AGE_MAGIC, decryption } from './age.ts'

/** Standard output or input. */
export const STANDARD = '-'

/** Errors of a full or faulty disk, not of connections. */
const UNWRITABLE = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'EIO', 'EROFS'])

type Write = (bytes: AsyncIterable<Buffer>) => Promise<void>

/**
 * Runs `work`, which writes a file with mode 0600 or standard output. The file replaces an existing one, and
 * gets its name only when it is complete and on disk.
 */
export async function writeTo<T>(path: string, work: (write: Write) => Promise<T>): Promise<T> {
  if (path === STANDARD) return work(writeStandard)
  await requireFilePath(path)
  const draft = `${path}.${randomUUID()}.part`
  const file = await open(draft, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${dirname(path)} cannot be written to (${error.code})`)
  })
  const remove = () => rmSync(draft, { force: true })
  process.once('exit', remove)
  try {
    await file.chmod(0o600)
    const result = await work((bytes) => file.writeFile(bytes))
    await file.sync()
    await file.close()
    await rename(draft, path)
    await syncDirectory(dirname(path))
    return result
  } catch (error) {
    await file.close().catch(() => {})
    remove()
    const { code = '' } = error as NodeJS.ErrnoException
    throw UNWRITABLE.has(code) ? new Error(`${path} cannot be written (${code})`) : error
  } finally {
    process.off('exit', remove)
  }
}

async function writeStandard(bytes: AsyncIterable<Buffer>): Promise<void> {
  await pipeline(bytes, process.stdout, { end: false }).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'EPIPE' ? new Error('the reader of standard output ended too early') : error
  })
}

async function requireFilePath(path: string): Promise<void> {
  const there = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw new Error(`${path} cannot be written (${error.code})`)
  })
  if (there && !there.isFile()) throw new Error(`${path} is not a file`)
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  await directory.sync().finally(() => directory.close())
}

/** Returns a function that opens a backup, decrypted if it is encrypted; standard input opens once. */
export async function opener(path: string, identity: string | undefined) {
  const decrypt = identity === undefined ? undefined : await decryption(identity)
  return async (): Promise<AsyncIterable<Buffer>> => {
    const source: AsyncIterable<Buffer> = path === STANDARD ? process.stdin : createReadStream(path)
    const chunks = source[Symbol.asyncIterator]()
    const first = await firstBytes(chunks)
    const whole = joined(first, chunks)
    if (!first.toString('latin1').startsWith(AGE_MAGIC)) return whole
    if (decrypt) return decrypt(whole)
    await chunks.return?.()
    throw new Error('this backup is encrypted: give the file of the age identity as --identity')
  }
}

async function firstBytes(chunks: AsyncIterator<Buffer>): Promise<Buffer> {
  let first: Buffer = Buffer.alloc(0)
  while (first.length < AGE_MAGIC.length) {
    const { value, done } = await chunks.next()
    if (done) break
    first = Buffer.concat([first, value])
  }
  return first
}

async function* joined(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    if (first.length > 0) yield first
    for (;;) {
      const { value, done } = await rest.next()
      if (done) return
      yield value
    }
  } finally {
    await rest.return?.()
  }
}
