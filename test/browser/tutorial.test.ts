// Follows docs/tutorials/swagger-ui.md in a browser.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { blocksOf } from '../helpers/doc-blocks.ts'
import { newDirectory, startEmbeddedService } from '../helpers/embedded-service.ts'
import { difference, thingsOf } from '../helpers/leftovers.ts'
import { Answers } from '../helpers/normalized-answers.ts'
import { findChromium, startBrowser, watchedPage } from './chromium.ts'
import { SwaggerUi } from './swagger-ui.ts'
import { type Call, stepsOf } from './tutorial.ts'

t.setTimeout(600_000)

const chromium = findChromium()

t.test(
  'the Swagger UI tutorial works as written, twice',
  chromium ? {} : { skip: 'no Chromium: none in PATH or CHROMIUM' },
  async (t) => {
    const page = await readFile(join(import.meta.dirname, '../../docs/tutorials/swagger-ui.md'), 'utf8')
    const steps = stepsOf(page)
    t.ok(steps.length > 8, `${steps.length} steps`)
    const cwd = await newDirectory(t)
    const { origin, output } = await startEmbeddedService(t, cwd)
    const password = (await readFile(join(cwd, 'data/admin.password'), 'utf8')).trim()
    const [printed] = blocksOf(page).filter(({ language }) => language === 'text')
    const onThisService = (line: string) =>
      line.replace('http://127.0.0.1:8080', origin).replace(/password .*/, `password ${password}`)
    for (const line of printed!.text.trim().split('\n')) t.match(output(), onThisService(line))
    const browser = await startBrowser(t, chromium!)
    const before = await thingsOf(cwd)

    for (const time of ['the first time', 'the second time']) {
      await t.test(time, async (t) => {
        const watched = await watchedPage(browser)
        const ui = new SwaggerUi(origin, watched)
        const started = Date.now()
        await ui.open()
        const since = () => `${((Date.now() - started) / 1000).toFixed(1)} s`
        t.comment(`Swagger UI was ready after ${since()}`)
        const answers = new Answers()
        let token = ''
        for (const step of steps) {
          if (step.do === 'authorize') await ui.authorize(token)
          else if (step.do === 'log out') await ui.logOut()
          else if (step.do === 'reset')
            t.equal((await ui.reset()).includes(password), false, 'the password is gone')
          else {
            const name = `${step.method} ${step.path}`
            const values = Object.entries(step.values).map(
              ([name, id]) => [name, answers.realOf(id)] as const
            )
            const body = step.body && JSON.parse(JSON.stringify(step.body).replace('YOUR PASSWORD', password))
            const id = await ui.operationIdOf(step.tag, step.method, step.path)
            const shown = await ui.execute(id, Object.fromEntries(values), body)
            t.equal(shown.status, step.status, name)
            if (step.response) t.equal(answers.flaw(step.response, shown.body), undefined, name)
            if (step.table.length > 0) t.same(tableOf(step, shown.body.data), step.table, name)
            token = shown.body.token ?? token
            if (shown.body.results) t.comment(`the secret was read after ${since()}`)
          }
        }
        t.comment(`cleaned up after ${since()}`)
        t.same(watched.violations, [])
        t.same(watched.complaints(), [])
        t.same(difference(before, await thingsOf(cwd)), { left: [], gone: [] }, 'nothing is left behind')
      })
    }
  }
)

/** Returns the response as a table like that of the page, with the properties in its first row. */
function tableOf({ table: [names = []] }: Call, data: object[]): unknown[] {
  const property = (row: unknown, path: string) =>
    path.split('.').reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], row)
  return [names, ...data.map((row) => names.map((name) => property(row, name)))]
}
