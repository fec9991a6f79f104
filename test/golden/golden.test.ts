// Compares the answers of the service with those recorded in `answers/`. See README.md.
import t from 'tap'
import { compare } from './compare.ts'
import { record } from './story.ts'

t.test('every operation responds as it did when the answers were recorded', async (t) => {
  await compare(t, await record())
})
