import type * as generated from './generated/sdk.gen.ts'

export type Name = keyof typeof generated

/** What is known of a call besides its request. */
export interface Call {
  name: Name
  /** After which outcome it may be sent again: any that may pass, only one that says nothing was done, or none. */
  again: 'unless-refused' | 'if-not-done' | 'never'
}

const named = (...names: Name[]): ReadonlySet<Name> => new Set(names)

/** POSTs that change nothing, each hand-out of which is audited. */
const HANDS_OUT = named('resolveCredentials', 'revealAppCredential')
const USAGES = named('putUsage', 'deleteUsage')

/** Whether what was kept of credentials' values may be wrong after it. */
export function changesValues(name: Name, method: string): boolean {
  return method !== 'GET' && !HANDS_OUT.has(name) && !USAGES.has(name)
}

/**
 * What an attempt may have done already, a second one must not do again. A POST needs its key; a PUT or the end of an
 * environment would undo what somebody else wrote between the two, unless it holds at one revision only.
 */
export function againOf(name: Name, { method, headers }: Request, takesKey: boolean): Call['again'] {
  if (HANDS_OUT.has(name)) return 'if-not-done'
  if (method === 'POST') return takesKey ? 'unless-refused' : 'never'
  const overwrites = (method === 'PUT' && !USAGES.has(name)) || name === 'deleteEnvironment'
  return overwrites && !/^"/.test(headers.get('if-match') ?? '') ? 'if-not-done' : 'unless-refused'
}
