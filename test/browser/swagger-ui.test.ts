import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { eventually } from '../helpers/eventually.ts'
import { newToken } from '../helpers/tokens.ts'
import { findChromium, startBrowser, watchedPage } from './chromium.ts'
import { SwaggerUi } from './swagger-ui.ts'

t.setTimeout(600_000)

const SECRET = 'staple under glass'
const screenshots = join(import.meta.dirname, '../../screenshots')
const chromium = findChromium()
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 }
/** The number of bytes that the page and its resources received from the network. */
const RECEIVED = `performance.getEntries().reduce((sum, entry) => sum + (entry.transferSize ?? 0), 0)`

t.test(
  'Swagger UI in a browser',
  chromium ? {} : { skip: 'no Chromium: none in PATH or CHROMIUM' },
  async (t) => {
    const service = await startTestApp(t)
    const { origin, admin } = service
    const browser = await startBrowser(t, chromium!)
    await mkdir(screenshots, { recursive: true })

    /** Loads Swagger UI in a new profile. */
    const newUi = async () => {
      const ui = new SwaggerUi(origin, await watchedPage(browser))
      await ui.open()
      return ui
    }
    const operationsInView = async ({ page }: SwaggerUi) =>
      Number(
        await page.evaluate(
          `[...document.querySelectorAll('.opblock')]
            .filter((one) => one.getBoundingClientRect().bottom <= innerHeight).length`
        )
      )
    const picture = ({ page }: SwaggerUi, name: string) =>
      page.screenshot({ path: join(screenshots, `${name}.png`) })

    /** Checks that the page called only the service, without errors and policy violations. */
    const checkPage = (t: Test, { watched }: SwaggerUi) => {
      t.ok(watched.requests.length > 4, `${watched.requests.length} requests`)
      // The icons in Swagger UI's stylesheet are `data:` URLs, which send no request.
      const elsewhere = watched.requests
        .map((request) => request.url())
        .filter((url) => !url.startsWith(`${origin}/`) && !url.startsWith('data:image/'))
      t.same(elsewhere, [], 'no request leaves the origin')
      t.same(watched.violations, [], 'Swagger UI does not violate the Content-Security-Policy')
      t.same(watched.complaints(), [], 'no errors in the console')
    }

    await t.test('shows the document', async (t) => {
      const ui = await newUi()
      t.equal(await ui.page.title(), 'Latchkey')
      t.match(await ui.page.locator('.info .title').innerText(), /^Latchkey/)
      const shown = await ui.page.locator('.opblock').count()
      const { paths } = service.contract.document
      t.equal(shown, Object.values(paths).flatMap((operations) => Object.keys(operations)).length)
      t.notOk(await ui.page.locator('.errors-wrapper').count(), 'no error is shown')
      await picture(ui, 'start')
      t.ok((await operationsInView(ui)) >= 3, 'the first screen shows operations')
      await ui.page.setViewportSize({ width: 390, height: 844 })
      await picture(ui, 'start-narrow')
      t.ok(
        await ui.page.evaluate('document.documentElement.scrollWidth <= innerWidth'),
        'a narrow window needs no horizontal scrolling'
      )
      checkPage(t, ui)
    })

    await t.test('a phone shows operations on its first screen, in a readable size', async (t) => {
      const ui = new SwaggerUi(origin, await watchedPage(browser, PHONE))
      await ui.open()
      await picture(ui, 'phone')
      t.equal(await ui.page.evaluate('innerWidth'), PHONE.viewport.width, 'the width of the screen')
      t.ok((await operationsInView(ui)) >= 1)
      const { email, password } = admin.person
      const width = 'document.documentElement.scrollWidth'
      t.equal((await ui.execute('createSession', {}, { email, password })).status, 200)
      t.equal(await ui.page.evaluate(width), PHONE.viewport.width, 'no horizontal scrolling after a sign-in')
      t.equal((await ui.execute('listAuditEvents')).status, 200)
      t.equal(await ui.page.evaluate(width), PHONE.viewport.width, 'no horizontal scrolling after a list')
      await ui.page.goto(`${origin}/docs/problems`)
      t.equal(await ui.page.evaluate(width), PHONE.viewport.width, 'no horizontal scrolling: problems')
      checkPage(t, ui)
    })

    await t.test('a browser that opens the service is redirected to the documentation', async (t) => {
      const { page } = await watchedPage(browser)
      await page.goto(origin)
      t.equal(page.url(), `${origin}/docs`)
      await page.locator('.opblock').first().waitFor()
      const received = async () => Number(await page.evaluate(RECEIVED))
      const first = await received()
      t.ok(first > 100_000 && first < 600_000, `${first} bytes`)
      await page.goto(origin)
      await page.locator('.opblock').first().waitFor()
      const second = await received()
      t.ok(second < 5000, `${second} bytes with a warm cache`)
    })

    await t.test('the reference is readable on a desktop and on a phone', async (t) => {
      for (const [name, options] of [
        ['reference', undefined],
        ['reference-phone', PHONE]
      ] as const) {
        const watched = await watchedPage(browser, options)
        const { page } = watched
        await page.goto(`${origin}/reference`)
        await page.screenshot({ path: join(screenshots, `${name}.png`) })
        await page.locator('nav a[href="#createAppCredential"]').click()
        await page.screenshot({ path: join(screenshots, `${name}-operation.png`) })
        const top = await page.evaluate(
          `document.querySelector('#createAppCredential').getBoundingClientRect().top`
        )
        t.ok(Math.abs(Number(top)) < 50, 'a link in the contents leads to its operation')
        t.ok(
          await page.evaluate('document.documentElement.scrollWidth <= innerWidth'),
          'no horizontal scrolling'
        )
        t.same(watched.violations, [])
        t.same(watched.complaints(), [])
        t.same(
          watched.requests.filter((request) => !request.url().startsWith(`${origin}/`)),
          []
        )
      }
    })

    await t.test('a user signs in, stores a credential, finds and changes it', async (t) => {
      const ui = await newUi()
      const { email, password } = admin.person
      const wrong = await ui.execute('createSession', {}, { email, password: 'not the password' })
      t.equal(wrong.status, 401)
      t.equal(wrong.body.code, 'invalid-credentials')
      await picture(ui, 'sign-in-refused')

      const signIn = await ui.execute('createSession', {}, { email, password })
      t.equal(signIn.status, 200)
      await picture(ui, 'signed-in')
      const [cookie] = await ui.page.context().cookies()
      t.match(cookie, { name: 'latchkey_session', httpOnly: true, sameSite: 'Lax' })
      t.equal(await ui.page.evaluate('document.cookie'), '', 'scripts cannot read the session cookie')
      t.notMatch(await ui.page.content(), cookie!.value, 'the page does not show the session cookie')

      const type = await ui.execute('createCredentialType')
      t.equal(type.status, 201, 'the example body works unchanged')
      t.equal((await type.request.allHeaders())['sec-fetch-site'], 'same-origin')
      const fieldOf = (name: string) =>
        type.body.fields.find(({ fieldName }: { fieldName: string }) => fieldName === name).id
      const keys = (apiKey: string) => [
        { fieldId: fieldOf('host'), keyValue: 'weather.example.org' },
        { fieldId: fieldOf('apiKey'), keyValue: apiKey }
      ]
      const credentials: { id: string }[] = []
      for (const credentialName of ['Rain', 'Tides']) {
        const body = { credentialName, credentialTypeId: type.body.id, keys: keys(SECRET) }
        const made = await ui.execute('createAppCredential', {}, body)
        t.equal(made.status, 201, credentialName)
        t.equal(made.headers['etag'], '"1"')
        credentials.push(made.body)
      }
      const [{ id }] = credentials as [{ id: string }]
      await picture(ui, 'created')

      await ui.open()
      const list = await ui.execute('listAppCredentials')
      t.equal(list.status, 200)
      t.same(
        list.body.data.map((one: { credentialName: string }) => one.credentialName),
        ['Tides', 'Rain'],
        'empty parameters do not filter the list'
      )
      await picture(ui, 'list')
      t.match(await ui.page.content(), 'Rain')
      t.notMatch(await ui.page.content(), SECRET, 'the page has no secret')

      const change = { keys: keys('another under glass') }
      const updated = await ui.execute('updateAppCredential', { id, 'If-Match': '"1"' }, change)
      t.equal(updated.status, 200)
      t.equal(updated.body.revision, 2)
      const late = await ui.execute('updateAppCredential', { id, 'If-Match': '"1"' }, change)
      t.equal(late.status, 412)
      t.equal(late.body.code, 'revision-changed')
      t.match(late.text, late.body.detail, 'the page shows the reason')
      await picture(ui, 'update-refused')
      const bad = await ui.execute(
        'updateAppCredential',
        { id, 'If-Match': '' },
        { keys: [{ fieldId: 'x' }] }
      )
      t.equal(bad.status, 400)
      t.ok(bad.body.errors.length > 0)

      t.equal((await ui.execute('deleteSession')).status, 200)
      t.same(await ui.page.context().cookies(), [], 'signing out removes the cookie')
      t.equal((await ui.execute('listAppCredentials')).status, 401)
      checkPage(t, ui)
    })

    await t.test('example requests that need no id work unchanged', async (t) => {
      const ui = await newUi()
      const { email, password } = admin.person
      await ui.execute('createSession', {}, { email, password })
      const examples = {
        createProject: 201,
        createUser: 201,
        createAccessToken: 201,
        createAppCredential: 201,
        lightningCreateCredential: 201
      }
      for (const [operationId, status] of Object.entries(examples)) {
        const shown = await ui.execute(operationId)
        t.equal(shown.status, status, `${operationId}: ${JSON.stringify(shown.body)}`)
      }
      // Ids are copied from a response.
      for (const [list, one] of [
        ['listProjects', 'getProject'],
        ['listCredentialTypes', 'getCredentialType'],
        ['listAppCredentials', 'getAppCredential']
      ] as const) {
        const [{ id }] = (await ui.execute(list)).body.data
        const { status, body } = await ui.execute(one, { id })
        t.same([status, body.id], [200, id], one)
      }
      await picture(ui, 'copied-id')
      const reads = Object.entries(service.contract.document.paths)
        .filter(([path]) => !path.includes('{'))
        .flatMap(([, operations]) => operations['get'] ?? []) as unknown as { operationId: string }[]
      t.ok(reads.length > 8, `${reads.length} reads`)
      for (const { operationId } of reads) t.equal((await ui.execute(operationId)).status, 200, operationId)
      const [project] = (await ui.execute('listProjects')).body.data
      t.ok(project, 'the list of projects is not empty')
      checkPage(t, ui)
    })

    await t.test('a token that is entered with "Authorize" is not stored', async (t) => {
      const ui = await newUi()
      const token = (await newToken(admin, ['credentials:read'])).bearer!
      const dialog = await ui.authorization()
      t.match(await dialog.innerText(), /lk_pat_/)
      await picture(ui, 'authorize')
      await dialog.locator('.close-modal').click()

      await ui.authorize('lk_pat_not-a-token')
      const refused = await ui.execute('listAppCredentials')
      t.equal(refused.status, 401)
      t.equal(refused.body.code, 'unauthenticated')

      await ui.authorize(token)
      const list = await ui.execute('listAppCredentials')
      t.equal(list.status, 200)
      t.equal((await list.request.allHeaders())['authorization'], `Bearer ${token}`)
      await picture(ui, 'list-by-token')
      const beyond = await ui.execute('createAppCredential')
      t.equal(beyond.status, 403, 'a token is limited to its scopes')
      t.equal(beyond.body.code, 'insufficient-scope')

      t.same(await ui.page.evaluate('[{ ...localStorage }, { ...sessionStorage }, document.cookie]'), [
        {},
        {},
        ''
      ])
      await ui.open()
      t.equal((await ui.execute('listAppCredentials')).status, 401, 'the token is gone after a reload')
      checkPage(t, ui)
    })

    await t.test('the policy blocks injected content, and violations are recorded', async (t) => {
      const ui = await newUi()
      const { page, watched } = ui
      const head = (await page.request.get(`${origin}/docs`)).headers()
      t.match(head['content-security-policy'], "default-src 'none'")
      await page.evaluate(`
      const script = document.createElement('script')
      script.textContent = 'window.ran = true'
      document.body.append(script)
      const image = document.createElement('img')
      image.src = 'http://127.0.0.1:9/leak.png'
      document.body.append(image)
      fetch('http://127.0.0.1:9/leak').catch(() => {})
      const button = document.createElement('div')
      button.innerHTML = '<button onclick="window.ran = true">x</button>'
      document.body.append(button)
      button.firstChild.click()
    `)
      await eventually(() => watched.violations.length >= 4, 'four violations')
      t.equal(await page.evaluate('window.ran'), undefined, 'an injected script does not run')
      const directives = watched.violations.map((violation) => violation.split(' ')[0]).sort()
      t.same(directives, ['connect-src', 'img-src', 'script-src-attr', 'script-src-elem'])
      t.ok(watched.complaints().length >= 4, 'each violation is an error in the console')
    })

    await t.test('a page of another origin cannot change anything with the session', async (t) => {
      const ui = await newUi()
      const { email, password } = admin.person
      await ui.execute('createSession', {}, { email, password })
      const before = (await admin.get('/api/v1/projects')).json.total
      // Another port is another origin but the same site, so SameSite does not withhold the cookie.
      const other = createServer((_request, response) => response.end('<!doctype html><title>Other</title>'))
      other.listen(0, '127.0.0.1')
      await once(other, 'listening')
      t.teardown(() => other.close())
      await ui.page.goto(`http://127.0.0.1:${(other.address() as AddressInfo).port}/`)
      const answered = ui.page.waitForResponse(`${origin}/api/v1/projects`)
      await ui.page.evaluate(`
      const form = document.createElement('form')
      form.method = 'post'
      form.enctype = 'text/plain'
      form.action = '${origin}/api/v1/projects'
      form.innerHTML = '<input name="{&quot;name&quot;:&quot;" value="Theirs&quot;}">'
      document.body.append(form)
      form.submit()
    `)
      const response = await answered
      t.match((await response.request().allHeaders())['cookie'], 'latchkey_session=', 'the cookie was sent')
      t.equal(response.status(), 403)
      t.equal((await admin.get('/api/v1/projects')).json.total, before)
    })
  }
)
