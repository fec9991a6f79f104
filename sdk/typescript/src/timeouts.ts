/** Rejects with the signal's reason if it aborts before `work` settles. Does not cancel `work` itself. */
export async function raceAbort<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  let onAbort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal?.reason)
    if (signal?.aborted) onAbort()
    else signal?.addEventListener('abort', onAbort)
  })
  try {
    return await Promise.race([aborted, work])
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

/**
 * Runs `work` with a signal that aborts after `seconds`, with the error from `timeoutError`, or together with
 * `outer`. Rejects then, even if `work` ignores the signal.
 */
export async function withTimeout<T>(
  seconds: number,
  timeoutError: () => Error,
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>
): Promise<T> {
  outer?.throwIfAborted()
  const controller = new AbortController()
  const onAbort = () => controller.abort(outer?.reason)
  outer?.addEventListener('abort', onAbort)
  const timer = setTimeout(() => controller.abort(timeoutError()), seconds * 1000)
  try {
    return await raceAbort(controller.signal, work(controller.signal))
  } finally {
    clearTimeout(timer)
    outer?.removeEventListener('abort', onAbort)
  }
}

/** Throws the signal's reason if it aborts first. */
export async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const end = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  return raceAbort(signal, end).finally(() => clearTimeout(timer))
}
