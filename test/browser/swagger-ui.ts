import type { Locator, Request } from 'playwright-core'
import type { WatchedPage } from './chromium.ts'

export interface Shown {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: the body as the page shows it has no type here
  body: any
  /** The visible text in the operation's block. */
  text: string
  headers: Record<string, string>
  request: Request
}

/** Drives Swagger UI as a user does: reads the page and presses its buttons. */
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

  /** Loads or reloads Swagger UI. */
  async open(): Promise<void> {
    await this.page.goto(`${this.origin}/docs`)
    await this.page.locator('.opblock').first().waitFor()
  }

  /** Finds an operation as a user does, by its tag, method and path. */
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

  /** Expands an operation and returns its block. Collapses the others, which slow down the page. */
  async operation(operationId: string): Promise<Locator> {
    const block = this.page.locator(`.opblock[id$="-${operationId}"]`)
    if (!(await block.locator('.execute').isVisible())) {
      const expanded = this.page.locator('.opblock.is-open .opblock-summary-control')
      while ((await expanded.count()) > 0) await expanded.first().click()
      await block.locator('.opblock-summary-control').click()
    }
    await block.locator('.execute').waitFor()
    return block
  }

  /** Fills in parameters and body, presses "Execute", and returns the response as the page shows it. */
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
    // Until this response arrives, the page shows the previous one.
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

  /** Presses "Reset" in the expanded operation, and returns the content of the page afterwards. */
  async reset(): Promise<string> {
    const block = this.page.locator('.opblock.is-open')
    const typed = await block.locator('textarea').inputValue()
    await block.getByRole('button', { name: 'Reset' }).click()
    while ((await block.locator('textarea').inputValue()) === typed) await this.page.waitForTimeout(50)
    return (await this.page.content()) + (await block.locator('textarea').inputValue())
  }

  /** Opens the "Authorize" dialog. */
  async authorization(): Promise<Locator> {
    await this.page.locator('.auth-wrapper .btn.authorize').first().click()
    const dialog = this.page.locator('.dialog-ux .modal-ux')
    await dialog.waitFor()
    return dialog
  }

  /** Enters a token in the "Authorize" dialog, and replaces an earlier one. */
  async authorize(token: string): Promise<void> {
    const dialog = await this.authorization()
    const logOut = dialog.locator('button', { hasText: 'Logout' })
    if (await logOut.isVisible()) await logOut.click()
    await dialog.locator('input').fill(token)
    await dialog.locator('button', { hasText: 'Authorize' }).click()
    await logOut.waitFor()
    await dialog.locator('button', { hasText: 'Close' }).click()
  }

  /** Removes the token in the "Authorize" dialog. */
  async logOut(): Promise<void> {
    const dialog = await this.authorization()
    await dialog.locator('button', { hasText: 'Logout' }).click()
    await dialog.locator('button', { hasText: 'Close' }).click()
  }
}
