import type { Test } from 'tap'
import { readAnswers, textsOf, writeAnswers } from './answers.ts'
import type { record } from './story.ts'

/** The number of differing answers that are shown for each area. The others are only named. */
const SHOWN = 5

/** Compares the answers of a service with those in `answers/`. */
export async function compare(
  t: Test,
  { recorder, gaps }: Awaited<ReturnType<typeof record>>
): Promise<void> {
  t.same(gaps, [], 'all declared answers were seen, and no others')
  t.ok(recorder.seen.length > 1000, `${recorder.seen.length} requests were answered`)
  const texts = textsOf(recorder.areas)
  if (process.env.GOLDEN_WRITE === '1') return writeAnswers(texts)

  const stored = await readAnswers()
  t.same([...texts.keys()].sort(), [...stored.keys()].sort(), 'the areas')
  for (const [area, answers] of stored) {
    const actual = texts.get(area) ?? new Map<string, string>()
    const differing = [...answers]
      .filter(([name, answer]) => actual.get(name) !== answer)
      .map(([name]) => name)
    const added = [...actual.keys()].filter((name) => !answers.has(name))
    for (const name of differing.slice(0, SHOWN))
      t.equal(actual.get(name), answers.get(name), `${area}.${name}`)
    t.same([...differing.slice(SHOWN), ...added], [], `${area}: ${answers.size} answers, and no others`)
  }
}
