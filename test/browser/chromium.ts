import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page, type Request } from 'playwright-core'
import type { Test } from 'tap'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** Returns the path of Chromium: `CHROMIUM`, or one in `PATH`. Undefined if there is none. */
export function findChromium(): string | undefined {
  const { CHROMIUM, PATH = '' } = process.env
  if (CHROMIUM) return CHROMIUM
  const places = PATH.split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)))
  return places.find((place) => existsSync(place))
}

/** Starts a browser with an empty profile and no background requests; closed when the test ends. */
export async function startBrowser(t: Test, executablePath: string): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath,
    // Its sandbox does not run as root.
    chromiumSandbox: process.getuid?.() !== 0,
    args: [
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync'
    ]
  })
  t.teardown(() => browser.close())
  return browser
}

interface Complaint {
  text: string
  url: string
}

export interface WatchedPage {
  page: Page
  requests: Request[]
  /** The violations of the Content-Security-Policy. */
  violations: string[]
  /** Errors in the console and uncaught exceptions, except those for responses in `refused`. */
  complaints(): Complaint[]
  /** Ignores one error that Chromium logs for an expected response with this status. */
  refused(status: number, url: string): void
}

/** Opens a page in a new profile, and records its requests, errors and policy violations. */
export async function watchedPage(
  browser: Browser,
  options: BrowserContextOptions = { viewport: { width: 1400, height: 1000 } }
): Promise<WatchedPage> {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const requests: Request[] = []
  const violations: string[] = []
  const complaints: Complaint[] = []
  const refusals: Complaint[] = []
  page.on('request', (request) => requests.push(request))
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push({ text: message.text(), url: message.location().url })
  })
  page.on('pageerror', (error) => complaints.push({ text: error.message, url: page.url() }))
  await page.exposeFunction('reportViolation', (violation: string) => violations.push(violation))
  await page.addInitScript(
    `addEventListener('securitypolicyviolation', (event) =>
      reportViolation(event.violatedDirective + ' ' + event.blockedURI))`
  )
  return {
    page,
    requests,
    violations,
    complaints() {
      const left = [...refusals]
      return complaints.filter(({ text, url }) => {
        const index = left.findIndex((refusal) => refusal.url === url && text.startsWith(refusal.text))
        if (index >= 0) left.splice(index, 1)
        return index < 0
      })
    },
    refused(status, url) {
      refusals.push({
        text: `Failed to load resource: the server responded with a status of ${status} (`,
        url
      })
    }
  }
}
