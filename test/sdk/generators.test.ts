// Generates clients from openapi.yaml with the commands of docs/how-to/clients.md, compiles them, and runs
// the same round trip with each, against this version of the service and a simulated later one.
// `GENERATORS=ogen,rust` selects generators by name.
import { copyFile, cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import t, { type Test } from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { GENERATORS, type Generator, TOOLCHAINS } from './generators.ts'
import { LATER_CODE, startLaterVersion } from './later-version.ts'
import { documented, runTool } from './tool.ts'

t.setTimeout(0)

const root = join(import.meta.dirname, '../..')
const roundTrips = join(import.meta.dirname, 'round-trips')
const JAR = 'openapi-generator-cli-7.25.0.jar'

/** Caches openapi-generator and compiled Rust code between runs. Other tools have their own caches. */
const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'latchkey-sdk')
await mkdir(cache, { recursive: true })

/** Thrown if a toolchain or a registry is not available. */
class Unavailable extends Error {}

const shell = (command: string, options: { cwd: string; env: Record<string, string> }) =>
  runTool('bash', ['-c', command], options)

async function prove(t: Test, row: Generator): Promise<void> {
  const cwd = await mkdtemp(join(tmpdir(), 'latchkey-sdk-'))
  t.teardown(() => rm(cwd, { recursive: true, force: true }))
  await copyFile(join(root, 'openapi.yaml'), join(cwd, 'openapi.yaml'))
  if (row.program) await cp(join(roundTrips, row.program), cwd, { recursive: true })
  const toolchains = [row.toolchain, row.jar ? ('java' as const) : undefined].filter(
    (one) => one !== undefined
  )
  const env = {
    PATH: `${join(cwd, 'venv/bin')}:${process.env['PATH']}`,
    CARGO_TARGET_DIR: join(cache, 'rust')
  }

  for (const toolchain of toolchains) {
    const { code } = await shell(TOOLCHAINS[toolchain].present, { cwd, env })
    if (code !== 0) throw new Unavailable(`no toolchain for ${toolchain}`)
  }

  const run = async (command: string, more: Record<string, string> = {}) => {
    const { code, out } = await shell(command, { cwd, env: { ...env, ...more } })
    for (const toolchain of code === 0 ? [] : toolchains) {
      const registry = await shell(TOOLCHAINS[toolchain].registry, { cwd, env })
      if (registry.code !== 0) throw new Unavailable(`no registry for ${toolchain}`)
    }
    if (code === 0) t.pass(command)
    else t.fail(command, { status: code, printed: linesOf(out).slice(-60) })
    return code === 0 ? out : undefined
  }

  if (row.jar) {
    for (const command of await documented('openapi-generator'))
      if ((await run(`cd '${cache}' && ${command}`)) === undefined) return
    await symlink(join(cache, JAR), join(cwd, JAR))
  }
  for (const command of await documented(row.name)) {
    const generates = command.includes(' openapi.yaml')
    const out = await run(generates && row.strictly ? `${command} ${row.strictly}` : command)
    if (out === undefined) return
    if (!generates) continue
    // A module that Go downloads may have a name such as "errors".
    const warnings = linesOf(out).filter(
      (line) => /warn|error|skip/i.test(line) && !/\bINFO\b|^go: downloading /.test(line)
    )
    const serious = warnings.filter((line) => !row.warnings?.some((known) => known.test(line)))
    t.same(serious, [], 'there are no other warnings')
  }
  for (const command of row.compile ?? []) if ((await run(command)) === undefined) return
  if (!row.run) return

  for (const [version, { service, ...world }] of Object.entries(versions)) {
    const { person } = await service.newUser()
    const out = await run(row.run, { ...world, EMAIL: person.email, PASSWORD: person.password })
    if (out !== undefined) t.equal(linesOf(out).at(-1), 'round trip done', version)
  }
}

function linesOf(out: string): string[] {
  // tap loses tests whose output contains control characters, and then reports success.
  const plain = stripVTControlCharacters(out).replace(/[^\P{Cc}\n]/gu, ' ')
  return plain.split('\n').filter((line) => line.trim() !== '')
}

const chosen = process.env['GENERATORS']?.toLowerCase().split(',')
const rows = GENERATORS.filter(
  ({ name }) => chosen?.some((word) => name.toLowerCase().includes(word)) ?? true
)
t.ok(rows.length > 0, 'generators are selected')

const [now, later] = [await startTestApp(t), await startTestApp(t)]
const versions = {
  'with this version of the service': { service: now, BASE: now.origin, NOT_FOUND: 'not-found' },
  'with a later version of the service': {
    service: later,
    BASE: await startLaterVersion(t, later.origin),
    NOT_FOUND: LATER_CODE
  }
}

for (const row of rows)
  await t.test(row.name, async (t) => {
    try {
      await prove(t, row)
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error
      t.pass(row.name, { skip: error.message })
    }
  })
