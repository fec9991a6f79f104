import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { parse } from 'yaml'
import type { Block } from './doc-blocks.ts'
import { Answers } from './normalized-answers.ts'
import type { Ran, Shell } from './shell.ts'

/** The exit code of `curl --fail-with-body` for an error response. */
const REFUSED = 22

const PROBLEM = /"type": ?"\/docs\/problems\//

/**
 * Runs the blocks of a page in order. `sh` is run; `json` and `text` are compared with the output of the
 * block before; `js` and `yaml` are saved in the file that their first line names, and the `run` steps of a
 * workflow in `yaml` are run.
 */
export async function followBlocks(t: Test, blocks: readonly Block[], shell: Shell): Promise<void> {
  const answers = new Answers()
  let ran: Ran | undefined
  for (const [index, block] of blocks.entries()) {
    const at = `line ${block.line} (${block.heading})`
    const next = blocks[index + 1]
    switch (block.language) {
      case 'sh':
        ran = await shell.run(block.text)
        if (!t.equal(ended(ran), expectedEnd(next), `${at}: how it ends\n${ran.err}${ran.out}`)) return
        break
      case 'json':
      case 'text': {
        const flaw = ran ? answerFlaw(answers, block, ran.out) : 'no block was run just before'
        if (!t.equal(flaw, undefined, `${at}: the page shows the response\n${ran?.out}`)) return
        ran = undefined
        break
      }
      case 'js': {
        const name = await saveFile(block, await shell.directory())
        const later = blocks.slice(index + 1).filter(({ language }) => language === 'sh' || language === 'js')
        t.ok(
          later.some(({ text }) => text.includes(name)),
          `${at}: a later block uses ${name}`
        )
        break
      }
      case 'yaml':
        await saveFile(block, await shell.directory())
        ran = await shell.run(stepsOf(parse(block.text)))
        if (!t.equal(ended(ran), 'well', `${at}: how it ends\n${ran.err}${ran.out}`)) return
        break
      default:
        t.fail(`${at}: blocks of the language “${block.language}” cannot be run`)
        return
    }
  }
}

function ended({ code, out, err, failed }: Ran): string {
  // Without `--fail`, curl exits with 0 for an error response.
  if (code === 0 && failed.length === 0) return PROBLEM.test(out) ? 'with a problem' : 'well'
  const once = /^curl: \(22\) .*\n$/.test(err)
  return code === REFUSED && once ? 'refused' : `with ${code}; failed: ${failed.join('; ')}`
}

/** If the page shows an error response, the request must be refused. */
function expectedEnd(next: Block | undefined): string {
  if (next?.language !== 'json') return 'well'
  const { status, error } = JSON.parse(next.text)
  return (typeof status === 'number' && status >= 400) || typeof error === 'string' ? 'refused' : 'well'
}

function answerFlaw(answers: Answers, { language, text }: Block, out: string): string | undefined {
  if (language === 'text') return answers.textFlaw(text.trimEnd(), out.replaceAll('\r', '').trimEnd())
  try {
    return answers.flaw(JSON.parse(text), JSON.parse(out))
  } catch (error) {
    return String(error)
  }
}

/** Writes the block to the file that its first line names, as a reader would, and returns the name. */
async function saveFile({ text, line }: Block, cwd: string): Promise<string> {
  const name = /^(?:\/\/|#) (\S+)\n/.exec(text)?.[1]
  if (!name) throw new Error(`the first line of the block of line ${line} does not name its file`)
  await mkdir(dirname(join(cwd, name)), { recursive: true })
  await writeFile(join(cwd, name), text)
  return name
}

interface Workflow {
  jobs: Record<string, { env?: Record<string, string>; steps: { run?: string; shell?: string }[] }>
}

/**
 * Returns a script that runs the steps of a workflow as its runner does. Secrets and variables have the
 * values of the shell variables with the same names.
 */
function stepsOf({ jobs }: Workflow): string {
  return Object.values(jobs)
    .flatMap(({ env = {}, steps }) => steps.map((step) => ({ env, ...step })))
    .map(({ env, run, shell }) => {
      if (run === undefined || shell !== 'bash') throw new Error('only steps of bash are run here')
      const settings = Object.entries(env).map(
        ([name, value]) => `${name}="${value.replaceAll(/\$\{\{ (?:secrets|vars)\.(\w+) \}\}/g, '$$$1')}"`
      )
      return `env ${settings.join(' ')} bash --noprofile --norc -eo pipefail -c ${quoted(run)}\n`
    })
    .join('')
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`
