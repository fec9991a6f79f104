/** The status and the headers of a response. */
export interface ResponseInfo {
  readonly status: number
  /** The request id in the service's logs. */
  readonly requestId: string | undefined
  /** All headers, such as `etag` and `location`, without those that set a cookie. */
  readonly headers: Headers
}

export interface WithResponse<T> {
  data: T
  response: ResponseInfo
}

/** The result of a call: a promise of the response's body, which gives access to the rest of the response. */
export class Call<T> extends Promise<T> {
  readonly #answer: Promise<WithResponse<T>>

  // Derived promises, such as those of `then`, are plain.
  static override get [Symbol.species]() {
    return Promise
  }

  constructor(answer: Promise<WithResponse<T>>) {
    super(() => {})
    this.#answer = answer
  }

  /** `const { data, response } = await latchkey.getAppCredential({ … }).withResponse()` */
  withResponse(): Promise<WithResponse<T>> {
    return this.#answer
  }

  // biome-ignore lint/suspicious/noThenProperty: overrides that of Promise
  override then<A = T, B = never>(
    fulfilled?: ((data: T) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    return this.#answer.then(({ data }) => data).then(fulfilled, rejected)
  }
}

/** The response without its cookies, because one is the session. */
export function infoOf({ status, headers }: Response): ResponseInfo {
  const shown = new Headers(headers)
  shown.delete('set-cookie')
  return { status, requestId: headers.get('x-request-id') ?? undefined, headers: shown }
}
