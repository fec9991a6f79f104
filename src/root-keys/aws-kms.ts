import { DecryptionFailed } from '../crypto/aead.ts'
import type { KeyProvider } from './remote.ts'
import { connectionError, ProviderError, sanitize } from './retry.ts'

const ID = '[A-Za-z0-9-]+'
const ALIAS = 'alias/[\\w/-]+'
const ARN = `arn:aws[a-z-]*:kms:(?<region>[a-z0-9-]+):\\d{12}:(?:key/${ID}|${ALIAS})`
const KEY = new RegExp(`^(?:${ARN}|${ALIAS}|${ID})$`)

/** Returns true if the text can name a key in AWS KMS. */
export function isKmsKey(text: string): boolean {
  return text.length <= 512 && KEY.test(text)
}

/**
 * A symmetric key in AWS KMS. The AWS SDK finds the region, endpoint and credentials in its standard places
 * (AWS_REGION, AWS_ENDPOINT_URL_KMS, AWS_ACCESS_KEY_ID, profiles, instance roles). An ARN overrides the
 * region.
 */
export class AwsKmsProvider implements KeyProvider {
  readonly title = 'AWS KMS'
  readonly identity: readonly ['aws-kms', string]
  readonly #keyId: string
  #sdk: ReturnType<typeof loadSdk> | undefined

  constructor(keyId: string) {
    if (!isKmsKey(keyId)) throw new RangeError('a key in AWS KMS must be a key id, an alias or an ARN')
    this.#keyId = keyId
    this.identity = ['aws-kms', keyId]
  }

  async prepare(): Promise<void> {
    await this.#load()
  }

  async encrypt(dataKeyNumber: number, dataKey: Buffer, abortSignal: AbortSignal): Promise<Buffer> {
    const { client, EncryptCommand } = await this.#load()
    const command = new EncryptCommand({
      KeyId: this.#keyId,
      Plaintext: dataKey,
      EncryptionContext: contextOf(dataKeyNumber)
    })
    const { CiphertextBlob } = await client.send(command, { abortSignal }).catch((error) => {
      throw toError(error, [dataKey.toString('base64')])
    })
    return toBuffer(CiphertextBlob)
  }

  async decrypt(dataKeyNumber: number, encrypted: Buffer, abortSignal: AbortSignal): Promise<Buffer> {
    const { client, DecryptCommand } = await this.#load()
    const command = new DecryptCommand({
      // Given the key, KMS refuses what another key encrypted.
      KeyId: this.#keyId,
      CiphertextBlob: encrypted,
      EncryptionContext: contextOf(dataKeyNumber)
    })
    const { Plaintext } = await client.send(command, { abortSignal }).catch((error) => {
      throw toError(error)
    })
    return toBuffer(Plaintext)
  }

  #load() {
    this.#sdk ??= loadSdk(KEY.exec(this.#keyId)?.groups?.region)
    return this.#sdk
  }
}

// Imported dynamically, so that a start without KMS does not load the SDK.
async function loadSdk(region: string | undefined) {
  const { KMSClient, EncryptCommand, DecryptCommand } = await import('@aws-sdk/client-kms')
  // One attempt, because retry.ts has the retries and time-outs of all providers.
  const client = new KMSClient({ maxAttempts: 1, ...(region && { region }) })
  return { client, EncryptCommand, DecryptCommand }
}

function contextOf(dataKeyNumber: number) {
  return { service: 'latchkey', dataKey: String(dataKeyNumber) }
}

function toBuffer(bytes: Uint8Array | undefined): Buffer {
  if (!bytes?.length) throw new ProviderError('the response is not from KMS', false)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The known fields of the SDK's errors. */
interface SdkError extends Error {
  $fault?: 'client' | 'server'
  $retryable?: object
  $metadata?: { httpStatusCode?: number; clockSkewCorrected?: boolean }
  $response?: { statusCode?: number }
}

const THROTTLED = /Throttl|TooManyRequests|RequestLimitExceeded/

function toError(caught: unknown, secrets: readonly string[] = []): Error {
  const error = caught as SdkError
  if (error.name === 'InvalidCiphertextException' || error.name === 'IncorrectKeyException') {
    return new DecryptionFailed()
  }
  const networkError = connectionError(error)
  if (networkError) return networkError
  const status = error.$metadata?.httpStatusCode ?? error.$response?.statusCode
  const retryable =
    status === 429 ||
    (status ?? 0) >= 500 ||
    THROTTLED.test(error.name) ||
    error.$retryable !== undefined ||
    error.$metadata?.clockSkewCorrected === true
  // Only messages of KMS itself are used: the error of a parser quotes its input, which may be a key.
  if (error.$fault) return new ProviderError(sanitize(`${error.name}: ${error.message}`, secrets), retryable)
  if (error.name === 'CredentialsProviderError') {
    return new ProviderError('no AWS credentials in the environment, a profile or a role', false)
  }
  if (error.message === 'Region is missing') return new ProviderError('AWS_REGION is not set', false)
  return status
    ? new ProviderError(`the response (status ${status}) is not from KMS`, retryable)
    : new ProviderError(`${sanitize(error.name)} in the AWS SDK`, false)
}
