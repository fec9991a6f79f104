import { mkdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { ageKeygen } from './age-keygen.ts'
import type { Block } from './doc-blocks.ts'
import { newDirectory } from './embedded-service.ts'
import { freePort } from './free-port.ts'
import { Shell } from './shell.ts'

const root = join(import.meta.dirname, '../..')

export interface DocService {
  origin: string
  /** The folder with the source code, in which the service was started. */
  clone: string
  /** Starts a new bash, as a reader would for a page. */
  newShell(t: Test, env?: Record<string, string>): Promise<Shell>
  log(): Promise<string>
}

/** Returns true if the block starts the service. */
export const startsService = ({ text }: Block) => /\bnpm start\b/.test(text)

/**
 * Starts the service with the block of the tutorial that does so, and reads the administrator's e-mail
 * address and password with the blocks after it.
 */
export async function startAsWritten(t: Test, tutorial: readonly Block[]): Promise<DocService> {
  const directory = await newDirectory(t)
  const [clone, own, tmp] = [join(directory, 'latchkey'), join(directory, 'own'), join(directory, 'tmp')]
  for (const path of [clone, own, tmp]) await mkdir(path, { mode: 0o755 })
  for (const name of ['src', 'package.json', 'node_modules', 'sdk', 'scripts', 'openapi.yaml'])
    await symlink(join(root, name), join(clone, name))
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const log = join(own, 'service.log')

  let count = 0
  const env: Record<string, string> = { LATCHKEY: origin, TMPDIR: tmp }
  const newShell = async (t: Test, more: Record<string, string> = {}) => {
    const files = join(own, `shell-${++count}`)
    await mkdir(files)
    const shell = new Shell(t, files, clone, { ...env, ...more })
    await shell.run(`latchkey() { node "${root}/src/cli.ts" "$@"; }
npx() { [ "$1" = latchkey ] && shift && latchkey "$@"; }
${ageKeygen()}`)
    return shell
  }

  const index = tutorial.findIndex(startsService)
  const terminal = await newShell(t, { PORT: String(port) })
  // Replaces `git clone` and `npm ci`, whose results exist already.
  const git = 'git() { [ "$1" = clone ] && cd ..; }\n'
  const npm = `npm() { case "$1" in ci) ;; start) exec ${scripts.start} ;; *) return 1 ;; esac; }\n`
  await terminal.run(`${git}${npm}{ ${tutorial[index]!.text}} > "${log}" 2>&1 &`)

  const signIn = tutorial.findIndex(({ text }, at) => at > index && text.includes('PASSWORD='))
  const toRead = tutorial.slice(index + 1, signIn + 1).filter(({ language }) => language === 'sh')
  const read = toRead.map(({ text }) => text).join('')
  const { out, err } = await (await newShell(t)).run(`${read}printf '\\n%s' "$EMAIL" "$PASSWORD"`)
  const [EMAIL = '', PASSWORD = ''] = out.split('\n').slice(-2)
  if (!EMAIL.includes('@') || !PASSWORD) throw new Error(`${out}${err}${await readFile(log, 'utf8')}`)
  Object.assign(env, { EMAIL, PASSWORD })
  return { origin, clone, newShell, log: () => readFile(log, 'utf8') }
}
