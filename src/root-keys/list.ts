import { AwsKmsProvider, isKmsKey } from './aws-kms.ts'
import { LocalRootKey } from './local.ts'
import { RemoteRootKey } from './remote.ts'
import type { RootKey } from './root-key.ts'
import { isVaultKey, type VaultSettings, VaultTransitProvider } from './vault-transit.ts'

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const BASE64 = /^[A-Za-z0-9+/_-]{43}=?$/
const FORM =
  'name:key, where key is 32 random bytes in base64, aws-kms:<key id, alias or ARN> ' +
  'or vault-transit:[<mount>/]<key>'

/**
 * Parses a list of root keys, the current one first: `name:key` entries, separated by commas or line ends,
 * with comments from `#` to the end of the line. `vault` is called only if an entry needs it. Throws a
 * RangeError with the position of the invalid entry and no part of a key.
 */
export function parseRootKeys(text: string, vault: () => VaultSettings = noVault): RootKey[] {
  const entries = text
    .replace(/(^|\s)#.*$/gm, '')
    .split(/[,\n]/)
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
  const keys = entries.map((entry, index) => {
    const key = parseEntry(entry, vault)
    if (!key) throw new RangeError(`entry ${index + 1} is not ${FORM}`)
    return key
  })
  if (keys.length === 0) throw new RangeError('it is empty')
  if (new Set(keys.map((key) => key.name)).size < keys.length)
    throw new RangeError('two keys have the same name')
  return keys
}

function parseEntry(entry: string, vault: () => VaultSettings): RootKey | undefined {
  const [name = '', kind = '', ...rest] = entry.split(':')
  if (!NAME.test(name)) return undefined
  const id = rest.join(':')
  if (kind === 'aws-kms') return isKmsKey(id) ? new RemoteRootKey(name, new AwsKmsProvider(id)) : undefined
  if (kind === 'vault-transit') {
    return isVaultKey(id) ? new RemoteRootKey(name, new VaultTransitProvider(id, vault())) : undefined
  }
  const bytes = rest.length === 0 && BASE64.test(kind) && Buffer.from(kind, 'base64')
  return bytes ? new LocalRootKey(name, bytes) : undefined
}

function noVault(): never {
  throw new RangeError('a key in Vault must be in LATCHKEY_ROOT_KEYS or LATCHKEY_ROOT_KEYS_FILE')
}
