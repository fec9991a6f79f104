// The types of dist/index.js for CommonJS, which may import nothing but types of an ES module under
// TypeScript's `module: node16`.
import type * as latchkey from '../dist/index.js' with { 'resolution-mode': 'import' }

export type * from '../dist/index.js' with { 'resolution-mode': 'import' }

export declare const createClient: typeof latchkey.createClient
export declare const ifMatch: typeof latchkey.ifMatch
export declare const LatchkeyError: typeof latchkey.LatchkeyError
export type LatchkeyError = latchkey.LatchkeyError
export declare const LatchkeyNetworkError: typeof latchkey.LatchkeyNetworkError
export type LatchkeyNetworkError = latchkey.LatchkeyNetworkError
export declare const LatchkeyResolveError: typeof latchkey.LatchkeyResolveError
export type LatchkeyResolveError = latchkey.LatchkeyResolveError
export declare const LatchkeyTimeoutError: typeof latchkey.LatchkeyTimeoutError
export type LatchkeyTimeoutError = latchkey.LatchkeyTimeoutError
export declare const Resolved: typeof latchkey.Resolved
export type Resolved<V extends Record<string, unknown> = Record<string, unknown>> = latchkey.Resolved<V>
