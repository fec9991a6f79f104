/** What comes first: how the work ends, or the signal's reason. The work itself is not ended. */
export async function unlessAborted<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  let leave = () => {}
  const left = new Promise<never>((_, reject) => {
    leave = () => reject(signal?.reason)
    if (signal?.aborted) leave()
    else signal?.addEventListener('abort', leave)
  })
  try {
    return await Promise.race([left, work])
  } finally {
    signal?.removeEventListener('abort', leave)
  }
}

/** What the work gives. It is ended, and left behind if it does not end, with what `late` gives or the outer signal's reason. */
export async function within<T>(
  seconds: number,
  late: () => Error,
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>
): Promise<T> {
  outer?.throwIfAborted()
  const controller = new AbortController()
  const stop = () => controller.abort(outer?.reason)
  outer?.addEventListener('abort', stop)
  const timer = setTimeout(() => controller.abort(late()), seconds * 1000)
  try {
    return await unlessAborted(controller.signal, work(controller.signal))
  } finally {
    clearTimeout(timer)
    outer?.removeEventListener('abort', stop)
  }
}

/** Throws the signal's reason when it comes before the end. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const end = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  return unlessAborted(signal, end).finally(() => clearTimeout(timer))
}
