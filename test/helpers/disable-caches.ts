import type { Test } from 'tap'
import { Recent } from '../../src/recent.ts'

/** From here on nothing is answered from memory: every answer is made from what the database says. */
export function disableCaches(t: Test): void {
  const { put } = Recent.prototype
  Recent.prototype.put = () => {}
  t.teardown(() => {
    Recent.prototype.put = put
  })
}
