import t from 'tap'
import { Recent } from '../src/recent.ts'

t.test('what was asked for lately stays, and the rest makes room', async (t) => {
  const recent = new Recent<number>(1_000)
  for (let i = 0; i < 500; i++) {
    recent.put(`${i}`, i, 10)
    t.equal(recent.get('0'), 0)
  }
  const kept = Array.from({ length: 500 }, (_, i) => i).filter((i) => recent.get(`${i}`) !== undefined)
  t.same(kept, [0, ...Array.from({ length: 99 }, (_, i) => 401 + i)])
})

t.test(
  'a value is the one that was put last, and one that is deleted or too large is not there',
  async (t) => {
    const recent = new Recent<number>(1_000)
    recent.put('a', 1, 10)
    recent.put('a', 2, 10)
    t.equal(recent.get('a'), 2)
    recent.put('a', 3, 11)
    t.equal(recent.get('a'), undefined, 'not what it was before either')
    recent.put('a', 4, 10)
    recent.delete('a')
    t.equal(recent.get('a'), undefined)
    for (let i = 0; i < 1_000; i++) recent.put('a', i, 10)
    for (let i = 0; i < 99; i++) recent.put(`${i}`, i, 10)
    t.equal(recent.get('a'), 999, 'what was replaced takes no room')
  }
)
