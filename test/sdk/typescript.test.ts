// Tests the client of sdk/typescript, built as for publication, against the service. The tests are in
// test/sdk/typescript.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { callers } from './typescript/callers.ts'
import { errors } from './typescript/errors.ts'
import { observed } from './typescript/observed.ts'
import { pages } from './typescript/pages.ts'
import { resolve } from './typescript/resolve.ts'
import { retries } from './typescript/retries.ts'
import { PACKAGE, startWorld } from './typescript/world.ts'

const run = promisify(execFile)

t.test('the TypeScript client', async (t) => {
  await run('npm', ['run', 'build'], { cwd: PACKAGE })
  const world = await startWorld(t)
  for (const part of [callers, errors, retries, pages, resolve, observed])
    await t.test(part.name, (t) => part(t, world))
})
