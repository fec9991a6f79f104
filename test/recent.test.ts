import t from 'tap'
import { Recent } from '../src/recent.ts'

t.test('what was asked for lately is there, and the rest makes room', async (t) => {
  const recent = new Recent<number, string>(10)
  for (let i = 0; i < 1_000; i++) {
    recent.set(i, `${i}`)
    t.equal(recent.get(0), '0')
  }
  const kept = Array.from({ length: 1_000 }, (_, i) => recent.get(i)).filter((value) => value !== undefined)
  t.ok(kept.length >= 10 && kept.length <= 20, `${kept.length} of 1,000`)
})

t.test('a value is the one that was set last', async (t) => {
  const recent = new Recent<string, number>(2)
  recent.set('a', 1)
  recent.set('b', 1)
  recent.set('c', 1)
  recent.set('a', 2)
  t.equal(recent.get('a'), 2)
  recent.set('d', 1)
  t.equal(recent.get('a'), 2)
})
