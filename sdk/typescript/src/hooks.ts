/** One attempt of a call. Contains no token, no header and no body. */
export interface AttemptEvent {
  /** The operationId. */
  operation: string
  method: string
  url: string
  /** From 1. */
  attempt: number
}

export interface ResponseEvent extends AttemptEvent {
  status: number
  requestId: string | undefined
  milliseconds: number
}

export interface RetryEvent extends AttemptEvent {
  /** The reason: a LatchkeyError, or a LatchkeyNetworkError if there was no response. */
  error: Error
  /** The time until the next attempt. */
  delayMilliseconds: number
}

/** Called while requests are sent, for logs, metrics and traces. What a hook throws is ignored. */
export interface Hooks {
  onRequest?: ((event: AttemptEvent) => void) | undefined
  onResponse?: ((event: ResponseEvent) => void) | undefined
  onRetry?: ((event: RetryEvent) => void) | undefined
}

export function notify<E>(hook: ((event: E) => void) | undefined, event: E): void {
  try {
    hook?.(event)
  } catch {
    // A log that cannot be written must not fail the request.
  }
}
