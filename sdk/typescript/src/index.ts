export type { Token } from './authenticator.ts'
export type { Call, ResponseInfo, WithResponse } from './call.ts'
export {
  createClient,
  ifMatch,
  type Latchkey,
  type Listing,
  type Operations
} from './client.ts'
export {
  type Code,
  LatchkeyError,
  LatchkeyNetworkError,
  LatchkeyResolveError,
  LatchkeyTimeoutError
} from './errors.ts'
export type { ExactNumbers } from './exact-numbers.ts'
export type { ProblemCode } from './generated/contract.gen.ts'
export type * from './generated/types.gen.ts'
export type { AttemptEvent, Hooks, ResponseEvent, RetryEvent } from './hooks.ts'
export type { LatchkeyOptions } from './options.ts'
export { type Asked, Resolved, type ResolveOptions } from './resolve.ts'
export type { AppInfo } from './user-agent.ts'
