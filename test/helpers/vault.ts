// A fake of Vault's transit engine with encrypt and decrypt, tokens, namespaces, associated data and key
// versions.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { type FakeResponse, type FakeServer, startFakeServer } from './fake-server.ts'

/** Faults for the next calls, one each. */
export type VaultFault = 'silent' | 'throttled' | 'sealed' | 'garbage' | 'redirected' | 'echo' | 'short key'

export interface Vault extends FakeServer {
  /** The environment variables with the address and the token of this server. */
  env: Record<string, string>
  token: string
  /** The operations of the requests with a valid token, in order. */
  calls: string[]
  faults: VaultFault[]
  /** Creates a key under `transit`, or a new version of it. */
  rotate(key: string): void
  /** Replaces the token and returns the new one. */
  renewToken(): string
  /** The status for a ciphertext that does not decrypt; it depends on the release. */
  unopened: number
}

export async function startVault(t: Test, options: { namespace?: string } = {}): Promise<Vault> {
  const newToken = () => `hvs.${randomBytes(18).toString('base64url')}`
  let token = newToken()
  const keys = new Map<string, Buffer[]>()
  const calls: string[] = []
  const faults: VaultFault[] = []

  const operations: Record<string, (versions: Buffer[], input: Record<string, string>) => FakeResponse> = {
    encrypt(versions, { plaintext = '', associated_data = '' }) {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', versions.at(-1)!, nonce)
      cipher.setAAD(Buffer.from(associated_data, 'base64'))
      const sealed = [nonce, cipher.update(plaintext, 'base64'), cipher.final(), cipher.getAuthTag()]
      const ciphertext = `vault:v${versions.length}:${Buffer.concat(sealed).toString('base64')}`
      return ok({ ciphertext, key_version: versions.length })
    },
    decrypt(versions, { ciphertext = '', associated_data = '' }) {
      const [, version, text = ''] = /^vault:v(\d+):(.*)$/.exec(ciphertext) ?? []
      const key = versions[Number(version) - 1]
      const sealed = Buffer.from(text, 'base64')
      if (!key || sealed.length < 28) return refusal(400, 'invalid ciphertext: no prefix')
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
        .setAAD(Buffer.from(associated_data, 'base64'))
        .setAuthTag(sealed.subarray(-16))
      try {
        const plain = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()])
        return ok({ plaintext: plain.toString('base64') })
      } catch {
        return refusal(vault.unopened, 'cipher: message authentication failed')
      }
    }
  }

  const server = await startFakeServer(t, ({ method, url, headers, body }) => {
    if (headers['x-vault-token'] !== token) return refusal(403, 'permission denied')
    if ((headers['x-vault-namespace'] ?? '') !== (options.namespace ?? '')) {
      return refusal(404, `no handler for route "${url}". route entry not found.`)
    }
    const [, operation = '', key = ''] = /^\/v1\/transit\/(encrypt|decrypt)\/([^/?]+)$/.exec(url) ?? []
    if (method !== 'POST' || !operation) {
      return refusal(404, `no handler for route "${url.slice(4)}". route entry not found.`)
    }
    calls.push(operation)
    switch (faults.shift()) {
      case 'silent':
        return undefined
      case 'throttled':
        return refusal(429, 'request path "transit": rate limit quota exceeded')
      case 'sealed':
        return refusal(503, 'Vault is sealed')
      case 'garbage':
        return { status: 200, body: `{"data": ${body.toString()} "}` }
      case 'redirected':
        return {
          status: 307,
          headers: { location: `${vault.origin}/v1/transit/${operation}/${key}` },
          body: ''
        }
      case 'echo':
        return refusal(400, `${JSON.stringify(headers)}\n${body.toString()}`)
      case 'short key':
        return ok({ plaintext: 'AAAA', ciphertext: 'vault:v1:AAAA' })
    }
    const versions = keys.get(key)
    // A policy without `create` denies the encryption under an unknown key.
    if (!versions && operation === 'encrypt') return refusal(403, 'permission denied')
    if (!versions) return refusal(400, 'encryption key not found')
    return operations[operation]!(versions, JSON.parse(body.toString()))
  })

  const vault: Vault = {
    ...server,
    get env() {
      const { namespace } = options
      return {
        VAULT_ADDR: server.origin,
        VAULT_TOKEN: token,
        ...(namespace && { VAULT_NAMESPACE: namespace })
      }
    },
    get token() {
      return token
    },
    calls,
    faults,
    rotate: (key) => keys.set(key, [...(keys.get(key) ?? []), randomBytes(32)]),
    renewToken: () => (token = newToken()),
    unopened: 400
  }
  return vault
}

const ok = (data: object): FakeResponse => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ request_id: 'x', lease_id: '', data, warnings: null })
})

const refusal = (status: number, error: string): FakeResponse => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ errors: [error] })
})
