import { VERSION } from './generated/contract.gen.ts'

/** The program that uses the client, for the service's audit log. */
export interface AppInfo {
  /** Such as `billing`. */
  name: string
  version?: string | undefined
}

const TOKEN = /^[\w!#$%&'*+.^`|~-]{1,64}$/

/** Throws a TypeError if the name or version cannot be part of a header. */
export function parseAppInfo(app: AppInfo | undefined): string | undefined {
  if (app === undefined) return undefined
  const parts = [app.name, ...(app.version === undefined ? [] : [app.version])]
  if (!parts.every((part) => typeof part === 'string' && TOKEN.test(part)))
    throw new TypeError(
      'appInfo needs a name and may have a version; both consist of letters, digits and - . _'
    )
  return parts.join('/')
}

/**
 * `latchkey-client/1.0.0 (node 24) billing/2.1`. Undefined in browsers: they send their own, and another one
 * would need a preflight request.
 */
export function userAgent(app: string | undefined): string | undefined {
  const { process } = globalThis as { process?: { versions?: { node?: string } } }
  const node = process?.versions?.node
  if (node === undefined) return undefined
  return `latchkey-client/${VERSION} (node ${node.split('.')[0]})${app === undefined ? '' : ` ${app}`}`
}
