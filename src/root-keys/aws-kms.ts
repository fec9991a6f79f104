import type { DecryptCommandInput, EncryptCommandInput, KMSClient } from '@aws-sdk/client-kms'
import { DecryptionFailed } from '../crypto/aead.ts'
import { CallFailed, connectionFailure, quoted } from './calls.ts'
import type { Keeper } from './remote.ts'

/** A key id, an alias, or the ARN of either. */
const KEY =
  /^(?:arn:aws[a-z-]*:kms:(?<region>[a-z0-9-]+):\d{12}:(?:key\/[A-Za-z0-9-]+|alias\/[\w/-]+)|alias\/[\w/-]+|[A-Za-z0-9-]+)$/

/** Whether the text can name a key of AWS KMS. */
export function isKmsKey(text: string): boolean {
  return text.length <= 512 && KEY.test(text)
}

interface Sdk {
  encrypt(input: EncryptCommandInput, signal: AbortSignal): Promise<Uint8Array | undefined>
  decrypt(input: DecryptCommandInput, signal: AbortSignal): Promise<Uint8Array | undefined>
}

/**
 * A symmetric key of AWS KMS. Region, endpoint and credentials are found by AWS's SDK in its own standard places
 * (AWS_REGION, AWS_ENDPOINT_URL_KMS, AWS_ACCESS_KEY_ID, profiles, roles of machines); the region of an ARN goes first.
 */
export class AwsKmsKeeper implements Keeper {
  readonly title = 'AWS KMS'
  readonly identity: readonly ['aws-kms', string]
  readonly #keyId: string
  #sdk: Promise<Sdk> | undefined

  constructor(keyId: string) {
    if (!isKmsKey(keyId)) throw new RangeError('a key of AWS KMS is a key id, an alias or an ARN')
    this.#keyId = keyId
    this.identity = ['aws-kms', keyId]
  }

  async prepare(): Promise<void> {
    await this.#load()
  }

  async encrypt(dataKeyNumber: number, dataKey: Buffer, signal: AbortSignal): Promise<Buffer> {
    const sdk = await this.#load()
    const input = {
      KeyId: this.#keyId,
      Plaintext: dataKey,
      EncryptionContext: contextOf(dataKeyNumber)
    }
    const encrypted = await sdk.encrypt(input, signal).catch((error) => {
      throw failureOf(error, [dataKey.toString('base64')])
    })
    return bytes(encrypted)
  }

  async decrypt(dataKeyNumber: number, encrypted: Buffer, signal: AbortSignal): Promise<Buffer> {
    const sdk = await this.#load()
    // With the key named, KMS refuses what any other key encrypted.
    const input = {
      KeyId: this.#keyId,
      CiphertextBlob: encrypted,
      EncryptionContext: contextOf(dataKeyNumber)
    }
    const dataKey = await sdk.decrypt(input, signal).catch((error) => {
      throw failureOf(error)
    })
    return bytes(dataKey)
  }

  #load(): Promise<Sdk> {
    this.#sdk ??= load(KEY.exec(this.#keyId)?.groups?.region)
    return this.#sdk
  }
}

// Imported only here: a start without KMS does not pay for the SDK.
async function load(region: string | undefined): Promise<Sdk> {
  const { KMSClient, EncryptCommand, DecryptCommand } = await import('@aws-sdk/client-kms')
  // One attempt: how often is tried, and how long, is the same for every keeper, in calls.ts.
  const client: KMSClient = new KMSClient({ maxAttempts: 1, ...(region && { region }) })
  return {
    encrypt: async (input, abortSignal) =>
      (await client.send(new EncryptCommand(input), { abortSignal })).CiphertextBlob,
    decrypt: async (input, abortSignal) =>
      (await client.send(new DecryptCommand(input), { abortSignal })).Plaintext
  }
}

function contextOf(dataKeyNumber: number) {
  return { service: 'latchkey', dataKey: String(dataKeyNumber) }
}

function bytes(answered: Uint8Array | undefined): Buffer {
  if (!answered?.length) throw new CallFailed('the answer is not one of KMS', false)
  return Buffer.from(answered.buffer, answered.byteOffset, answered.byteLength)
}

/** What the SDK throws, as far as it is known. */
interface SdkError extends Error {
  $fault?: 'client' | 'server'
  $retryable?: object
  $metadata?: { httpStatusCode?: number; clockSkewCorrected?: boolean }
  $response?: { statusCode?: number }
}

const THROTTLED = /Throttl|TooManyRequests|RequestLimitExceeded/

function failureOf(caught: unknown, secrets: readonly string[] = []): Error {
  const error = caught as SdkError
  if (error.name === 'InvalidCiphertextException' || error.name === 'IncorrectKeyException') {
    return new DecryptionFailed()
  }
  const broken = connectionFailure(error)
  if (broken) return broken
  const status = error.$metadata?.httpStatusCode ?? error.$response?.statusCode
  const mayPass =
    status === 429 ||
    (status ?? 0) >= 500 ||
    THROTTLED.test(error.name) ||
    error.$retryable !== undefined ||
    error.$metadata?.clockSkewCorrected === true
  // A parser's error quotes what it could not read, and that may be a key: only what KMS itself says is passed on.
  if (error.$fault) return new CallFailed(quoted(`${error.name}: ${error.message}`, secrets), mayPass)
  if (error.name === 'CredentialsProviderError') {
    return new CallFailed('no AWS credentials, neither in the environment nor from a profile or role', false)
  }
  if (error.message === 'Region is missing') return new CallFailed('AWS_REGION is not set', false)
  return status
    ? new CallFailed(`the answer (status ${status}) is not one of KMS`, mayPass)
    : new CallFailed(`${quoted(error.name)} in AWS's SDK`, false)
}
