import { Readable } from 'node:stream'
import type { Decrypter, Encrypter } from 'age-encryption'
import { FileRefused, readPrivateFile } from '../private-file.ts'
import { DamagedBackup } from './frames.ts'

export const AGE_MAGIC = 'age-encryption.org/'

/** Returns a function that encrypts to these recipients. Throws if one cannot be used. */
export async function encryption(recipients: readonly string[]) {
  const age = await import('age-encryption')
  const encrypter: Encrypter = new age.Encrypter()
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient)
    } catch {
      throw new Error(
        `--recipient must be a public key that age-keygen prints (age1…), not ${shown(recipient)}`
      )
    }
  }
  return async (source: AsyncIterable<Buffer>): Promise<AsyncIterable<Buffer>> =>
    buffers(await encrypter.encrypt(webStream(source)))
}

/** Does not repeat a secret identity that was given as a recipient. */
const shown = (recipient: string) => (/^AGE-/i.test(recipient) ? 'a secret identity' : recipient)

/** Returns a function that decrypts with the identities in a private file. */
export async function decryption(path: string) {
  const age = await import('age-encryption')
  const decrypter: Decrypter = new age.Decrypter()
  const lines = readIdentities(path)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  try {
    for (const line of lines) decrypter.addIdentity(line)
  } catch {
    throw new Error(`${path} is not a file of age-keygen, with a line AGE-SECRET-KEY-…`)
  }
  return async (source: AsyncIterable<Buffer>): Promise<AsyncIterable<Buffer>> => {
    const decrypted = await decrypter.decrypt(webStream(source)).catch((error: Error) => {
      throw /no identity matched/.test(error.message)
        ? new Error('this backup is not encrypted to the recipient of this identity')
        : damaged(error)
    })
    return decryptedBuffers(decrypted)
  }
}

function readIdentities(path: string): string {
  try {
    return readPrivateFile(path)
  } catch (error) {
    if (!(error instanceof FileRefused)) throw error
    throw new Error(`--identity must name a private file: ${path} ${error.message}`)
  }
}

const webStream = (source: AsyncIterable<Buffer>) =>
  Readable.toWeb(Readable.from(source, { objectMode: false }), {
    strategy: { highWaterMark: 1 }
  }) as ReadableStream<Uint8Array>

async function* buffers(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const { buffer, byteOffset, byteLength } of source)
    yield Buffer.from(buffer, byteOffset, byteLength)
}

async function* decryptedBuffers(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  try {
    yield* buffers(source)
  } catch (error) {
    throw damaged(error)
  }
}

const damaged = (error: unknown) =>
  // An error of the file system, such as EIO, passes unchanged.
  (error as NodeJS.ErrnoException).code ? error : new DamagedBackup('is damaged or cut off')
