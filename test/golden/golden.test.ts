// Compares what the service answers with what it answered when `answers/` was recorded. See README.md here.
import t from 'tap'
import { compare } from './compare.ts'
import { record } from './story.ts'

t.test('every operation responds as it did when the answers were recorded', async (t) => {
  await compare(t, await record())
})
