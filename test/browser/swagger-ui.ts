import type { Locator, Request } from 'playwright-core'
import type { WatchedPage } from './chromium.ts'

export interface Shown {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: the body as the page shows it has no type here
  body: any
  /** Everything in the operation's block, as it is read. */
  text: string
  headers: Record<string, string>
  request: Request
}

/** Swagger UI as a person uses it: what is in the page is read, and what is pressed is a button. */
export class SwaggerUi {
  readonly origin: string
  readonly watched: WatchedPage

  constructor(origin: string, watched: WatchedPage) {
    this.origin = origin
    this.watched = watched
  }

  get page() {
    return this.watched.page
  }

  /** Loads it afresh. */
  async open(): Promise<void> {
    await this.page.goto(`${this.origin}/docs`)
    await this.page.locator('.opblock').first().waitFor()
  }

  /** Finds an operation as a person does: in its section, by what its line says. */
  async operationIdOf(tag: string, method: string, path: string): Promise<string> {
    const section = this.page.locator('.opblock-tag-section', {
      has: this.page.locator(`.opblock-tag[data-tag="${tag}"]`)
    })
    const block = section.locator('.opblock', {
      has: this.page.locator(`.opblock-summary-path[data-path="${path}"]`),
      hasText: new RegExp(`^${method}\\b`)
    })
    const id = await block.getAttribute('id')
    return id!.slice(id!.lastIndexOf('-') + 1)
  }

  /** The block of an operation, unfolded; others are folded, which slow down the page. */
  async operation(operationId: string): Promise<Locator> {
    const block = this.page.locator(`.opblock[id$="-${operationId}"]`)
    if (!(await block.locator('.execute').isVisible())) {
      const unfolded = this.page.locator('.opblock.is-open .opblock-summary-control')
      while ((await unfolded.count()) > 0) await unfolded.first().click()
      await block.locator('.opblock-summary-control').click()
    }
    await block.locator('.execute').waitFor()
    return block
  }

  /** What the page would send as the body of the operation, if nothing was changed. */
  async proposedBody(operationId: string): Promise<string> {
    return (await this.operation(operationId)).locator('textarea').inputValue()
  }

  /** Fills in parameters and body, presses "Execute", and gives the answer as the page shows it. */
  async execute(operationId: string, values: Record<string, string> = {}, body?: object): Promise<Shown> {
    const block = await this.operation(operationId)
    for (const [name, value] of Object.entries(values))
      await block.locator(`tr[data-param-name="${name}"] input`).fill(value)
    if (body) await block.locator('textarea').fill(JSON.stringify(body, null, 2))
    const answered = this.page.waitForResponse((response) => response.url().startsWith(`${this.origin}/`))
    await block.locator('.execute').click()
    const response = await answered
    const headers = await response.allHeaders()
    const status = response.status()
    if (status >= 400) this.watched.refused(status, response.url())
    // The answer before this one is shown until this one is.
    const live = block.locator('.live-responses-table', { hasText: headers['x-request-id']! })
    await live.scrollIntoViewIfNeeded()
    const shown = await live.locator('.response-col_description .highlight-code code').first().innerText()
    return {
      status: Number.parseInt(await live.locator('.response-col_status').last().innerText(), 10),
      body: JSON.parse(shown),
      text: await block.innerText(),
      headers,
      request: response.request()
    }
  }

  /** Presses "Reset" in the operation that is unfolded, and gives all that is on the page then. */
  async reset(): Promise<string> {
    const block = this.page.locator('.opblock.is-open')
    const typed = await block.locator('textarea').inputValue()
    await block.getByRole('button', { name: 'Reset' }).click()
    while ((await block.locator('textarea').inputValue()) === typed) await this.page.waitForTimeout(50)
    return (await this.page.content()) + (await block.locator('textarea').inputValue())
  }

  /** Opens the dialog of "Authorize". */
  async authorization(): Promise<Locator> {
    await this.page.locator('.auth-wrapper .btn.authorize').first().click()
    const dialog = this.page.locator('.dialog-ux .modal-ux')
    await dialog.waitFor()
    return dialog
  }

  /** Enters a token in the dialog of "Authorize", in place of one that was there. */
  async authorize(token: string): Promise<void> {
    const dialog = await this.authorization()
    const logOut = dialog.locator('button', { hasText: 'Logout' })
    if (await logOut.isVisible()) await logOut.click()
    await dialog.locator('input').fill(token)
    await dialog.locator('button', { hasText: 'Authorize' }).click()
    await logOut.waitFor()
    await dialog.locator('button', { hasText: 'Close' }).click()
  }

  /** Removes the token in the dialog of "Authorize". */
  async logOut(): Promise<void> {
    const dialog = await this.authorization()
    await dialog.locator('button', { hasText: 'Logout' }).click()
    await dialog.locator('button', { hasText: 'Close' }).click()
  }
}
