import { readFile } from 'node:fs/promises'
import { DecryptionFailed } from '../crypto/aead.ts'
import { CallFailed, connectionFailure, quoted } from './calls.ts'
import type { Keeper } from './remote.ts'

const KEY = /^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$/
const TOKEN = /^[\x21-\x7e]{1,4096}$/
const UNOPENED = /message authentication failed|invalid ciphertext/i

/** Whether the text can name a key of Vault's transit engine: `key`, or `mount/key`. */
export function isVaultKey(text: string): boolean {
  return text.length <= 512 && KEY.test(text)
}

/** Whether the text can be a token, and so be sent in a header. */
export function isVaultToken(text: string): boolean {
  return TOKEN.test(text)
}

/** How Vault is reached. The file of a token is read at each use, since an agent renews it. */
export interface VaultSettings {
  /** Without a slash at its end. */
  address: string
  namespace: string | undefined
  token: { value: string } | { file: string }
}

/** A key of the transit engine of HashiCorp Vault or OpenBao; it has to be of an AEAD type, as the default one is. */
export class VaultTransitKeeper implements Keeper {
  readonly title = 'Vault transit'
  readonly identity: readonly ['vault-transit', string]
  readonly #settings: VaultSettings
  readonly #mount: string
  readonly #key: string

  constructor(key: string, settings: VaultSettings) {
    if (!isVaultKey(key)) throw new RangeError('a key of Vault is a name, or a mount, a slash and a name')
    const slash = key.lastIndexOf('/')
    this.#mount = slash < 0 ? 'transit' : key.slice(0, slash)
    this.#key = key.slice(slash + 1)
    this.#settings = settings
    // Not the address: it may change, and the key stays.
    this.identity = ['vault-transit', `${this.#mount}/${this.#key}`]
  }

  async encrypt(dataKeyNumber: number, dataKey: Buffer, signal: AbortSignal): Promise<Buffer> {
    const plaintext = dataKey.toString('base64')
    const { ciphertext } = await this.#post('encrypt', dataKeyNumber, { plaintext }, signal)
    if (!ciphertext) throw new CallFailed('the answer is not one of Vault', false)
    return Buffer.from(ciphertext, 'utf8')
  }

  async decrypt(dataKeyNumber: number, encrypted: Buffer, signal: AbortSignal): Promise<Buffer> {
    const ciphertext = encrypted.toString('utf8')
    const { plaintext } = await this.#post('decrypt', dataKeyNumber, { ciphertext }, signal)
    if (!plaintext) throw new CallFailed('the answer is not one of Vault', false)
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
      // A redirect would take token and data key to wherever it says.
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
      throw connectionFailure(error.cause) ?? new CallFailed('the request could not be sent', false)
    })
    const answer = await bodyOf(response)
    if (response.status === 200 && answer.data) return answer.data
    const said = (answer.errors ?? []).join('; ')
    // By its text: some releases answer it as 500, others as 400.
    if (operation === 'decrypt' && UNOPENED.test(said)) throw new DecryptionFailed()
    throw failureOf(response.status, quoted(said, [token, ...Object.values(parameters)]))
  }

  async #token(): Promise<string> {
    const { token } = this.#settings
    if ('value' in token) return token.value
    const text = await readFile(token.file, 'utf8').catch((error) => {
      // The agent that writes it may not have done so yet.
      throw new CallFailed(`VAULT_TOKEN_FILE cannot be read (${error.code})`, true)
    })
    const value = text.trim()
    if (!isVaultToken(value)) throw new CallFailed('VAULT_TOKEN_FILE holds no token', true)
    return value
  }
}

interface Answer {
  data?: Record<string, string | undefined>
  errors?: string[]
}

// Only of the shape that Vault answers in: a parser's error quotes what it could not read, and that may be a key.
async function bodyOf(response: Response): Promise<Answer> {
  const text = await response.text().catch((error) => {
    throw connectionFailure(error.cause ?? error) ?? new CallFailed('the answer broke off', true)
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

function failureOf(status: number, said: string): CallFailed {
  if (status >= 300 && status < 400) {
    return new CallFailed(`it answered with a redirect (${status}), which is not followed`, false)
  }
  // 412: a replica that does not know yet what was written elsewhere.
  const mayPass = status === 412 || status === 429 || status >= 500
  return new CallFailed(
    said ? `${status} ${said}` : `the answer (status ${status}) is not one of Vault`,
    mayPass
  )
}
