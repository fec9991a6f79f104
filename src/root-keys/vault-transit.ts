import { readFile } from 'node:fs/promises'
import { DecryptionFailed } from '../crypto/aead.ts'
import type { KeyProvider } from './remote.ts'
import { connectionError, ProviderError, sanitize } from './retry.ts'

const KEY = /^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$/
const TOKEN = /^[\x21-\x7e]{1,4096}$/
const DECRYPTION_FAILED = /message authentication failed|invalid ciphertext/i

/** Returns true if the text can name a transit key: `key` or `mount/key`. */
export function isVaultKey(text: string): boolean {
  return text.length <= 512 && KEY.test(text)
}

/** Returns true if the text can be sent as a token in a header. */
export function isVaultToken(text: string): boolean {
  return TOKEN.test(text)
}

/** The connection to Vault. A token file is read at each use, because an agent renews it. */
export interface VaultSettings {
  /** Without a trailing slash. */
  address: string
  namespace: string | undefined
  token: { value: string } | { file: string }
}

/** A key in the transit engine of HashiCorp Vault or OpenBao, of an AEAD type, such as the default one. */
export class VaultTransitProvider implements KeyProvider {
  readonly title = 'Vault transit'
  readonly identity: readonly ['vault-transit', string]
  readonly #settings: VaultSettings
  readonly #mount: string
  readonly #key: string

  constructor(key: string, settings: VaultSettings) {
    if (!isVaultKey(key))
      throw new RangeError('a key in Vault must be a name, or a mount, a slash and a name')
    const slash = key.lastIndexOf('/')
    this.#mount = slash < 0 ? 'transit' : key.slice(0, slash)
    this.#key = key.slice(slash + 1)
    this.#settings = settings
    // Without the address, which may change while the key stays the same.
    this.identity = ['vault-transit', `${this.#mount}/${this.#key}`]
  }

  async encrypt(dataKeyNumber: number, dataKey: Buffer, signal: AbortSignal): Promise<Buffer> {
    const plaintext = dataKey.toString('base64')
    const { ciphertext } = await this.#post('encrypt', dataKeyNumber, { plaintext }, signal)
    if (!ciphertext) throw new ProviderError('the response is not from Vault', false)
    return Buffer.from(ciphertext, 'utf8')
  }

  async decrypt(dataKeyNumber: number, encrypted: Buffer, signal: AbortSignal): Promise<Buffer> {
    const ciphertext = encrypted.toString('utf8')
    const { plaintext } = await this.#post('decrypt', dataKeyNumber, { ciphertext }, signal)
    if (!plaintext) throw new ProviderError('the response is not from Vault', false)
    return Buffer.from(plaintext, 'base64')
  }

  async #post(
    operation: 'encrypt' | 'decrypt',
    dataKeyNumber: number,
    parameters: Record<string, string>,
    signal: AbortSignal
  ): Promise<Record<string, string | undefined>> {
    const { address, namespace } = this.#settings
    const token = await this.#token()
    const response = await fetch(`${address}/v1/${this.#mount}/${operation}/${this.#key}`, {
      method: 'POST',
      // Following a redirect would send the token and the data key elsewhere.
      redirect: 'manual',
      signal,
      headers: {
        'content-type': 'application/json',
        'x-vault-request': 'true',
        'x-vault-token': token,
        ...(namespace && { 'x-vault-namespace': namespace })
      },
      body: JSON.stringify({
        ...parameters,
        associated_data: Buffer.from(`latchkey/data-key/${dataKeyNumber}`).toString('base64')
      })
    }).catch((error) => {
      throw connectionError(error.cause) ?? new ProviderError('the request could not be sent', false)
    })
    const answer = await parseBody(response)
    if (response.status === 200 && answer.data) return answer.data
    const message = (answer.errors ?? []).join('; ')
    // Recognized by its text: the status depends on the release, 400 or 500.
    if (operation === 'decrypt' && DECRYPTION_FAILED.test(message)) throw new DecryptionFailed()
    throw toError(response.status, sanitize(message, [token, ...Object.values(parameters)]))
  }

  async #token(): Promise<string> {
    const { token } = this.#settings
    if ('value' in token) return token.value
    const text = await readFile(token.file, 'utf8').catch((error) => {
      // Retryable, because the agent may not have written it yet.
      throw new ProviderError(`VAULT_TOKEN_FILE cannot be read (${error.code})`, true)
    })
    const value = text.trim()
    if (!isVaultToken(value)) throw new ProviderError('VAULT_TOKEN_FILE contains no token', true)
    return value
  }
}

interface VaultResponse {
  data?: Record<string, string | undefined>
  errors?: string[]
}

// Returns {} for any other body. Does not pass on a parser's error, which quotes its input: that may be a
// key.
async function parseBody(response: Response): Promise<VaultResponse> {
  const text = await response.text().catch((error) => {
    throw connectionError(error.cause ?? error) ?? new ProviderError('the response was cut off', true)
  })
  try {
    const { data, errors } = JSON.parse(text) as { data?: unknown; errors?: unknown }
    const strings = (of: unknown) =>
      Object.fromEntries(Object.entries(of ?? {}).filter(([, value]) => typeof value === 'string'))
    return {
      ...(data !== null && typeof data === 'object' && { data: strings(data) }),
      ...(Array.isArray(errors) && { errors: Object.values(strings(errors)) })
    }
  } catch {
    return {}
  }
}

function toError(status: number, message: string): ProviderError {
  if (status >= 300 && status < 400) {
    return new ProviderError(`it responded with a redirect (${status}), which is not followed`, false)
  }
  // 412: a replica that has not caught up with a write.
  const retryable = status === 412 || status === 429 || status >= 500
  return new ProviderError(
    message ? `${status} ${message}` : `the response (status ${status}) is not from Vault`,
    retryable
  )
}
