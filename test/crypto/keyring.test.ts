import { inspect } from 'node:util'
import t from 'tap'
import { type DataKeys, dataKeyOf, Keyring, type ValueContext } from '../../src/crypto/keyring.ts'

const hex = (text: string) => Buffer.from(text, 'hex')
const sequence = (first: number) => Buffer.from(Array.from({ length: 32 }, (_, i) => first + i))
const text = (value: string) => Buffer.from(value)

// A changed data key number is unknown; the service then looks it up once.
const failed = { name: /^(DecryptionFailed|UnknownDataKey)$/ }
const FIELD = '0193a5b0-0000-7000-8000-00000000000f'
const CONTEXT: ValueContext = {
  credentialId: '0193a5b0-0000-7000-8000-000000000001',
  environment: 'main',
  sealedRevision: 3
}
const keyring = new Keyring(
  new Map([
    [7, sequence(0x40)],
    [8, sequence(0x60)]
  ]),
  7
)

// Made by an independent implementation. These values must always open, because databases contain such rows.
const SEALED_VALUE =
  '0100000007a0a1a2a3a4a5a6a7a8a9aaab17225d893b56b09904f7155388b45ab038fbedc3381e872e988d97d918c165'
const SEALED_ANSWER = '0100000007a0a1a2a3a4a5a6a7a8a9aaab76c1dcbdb3e9efade49af5d979a8104377aa'

t.test('a value sealed by the first release opens', async (t) => {
  t.equal(keyring.values(CONTEXT).open([FIELD], hex(SEALED_VALUE)).toString(), '"correct horse"')
  t.equal(keyring.answers('user-1', 'key-1').open([], hex(SEALED_ANSWER)).toString(), '{}')
})

t.test('the layout is format, data key number, nonce, ciphertext, tag', async (t) => {
  const sealed = keyring.values(CONTEXT).seal([FIELD], text('12345'))
  t.equal(sealed.length, 1 + 4 + 12 + 5 + 16)
  t.equal(sealed.toString('hex', 0, 5), '0100000007')
  t.equal(dataKeyOf(sealed), 7)
})

t.test('values open under the current data key and under an older one', async (t) => {
  const keys = new Map([[7, sequence(0x40)]])
  const before = new Keyring(keys, 7)
  keys.set(8, sequence(0x60))
  const after = new Keyring(keys, 8)
  const old = before.values(CONTEXT).seal([FIELD], text('old'))
  const sealer = after.values(CONTEXT)
  t.equal(sealer.open([FIELD], old).toString(), 'old')
  const fresh = sealer.seal([FIELD], text('fresh'))
  t.equal(dataKeyOf(fresh), 8)
  t.equal(sealer.open([FIELD], fresh).toString(), 'fresh')
  t.throws(() => before.values(CONTEXT).open([FIELD], fresh), { name: 'UnknownDataKey', number: 8 })
})

t.test('cached keys of different contexts are not mixed up', async (t) => {
  const contexts: ValueContext[] = []
  for (let i = 0; i < 700; i++)
    for (const environment of ['main', 'staging'])
      contexts.push({ ...CONTEXT, environment, sealedRevision: i, credentialId: `credential ${i % 7}` })
  const sealed = contexts.map((context, i) => keyring.values(context).seal([FIELD], text(`value ${i}`)))
  // More contexts than the cache holds, each opened twice.
  for (let round = 0; round < 2; round++) {
    for (const [i, context] of contexts.entries()) {
      const sealer = keyring.values(context)
      if (sealer.open([FIELD], sealed[i]!).toString() !== `value ${i}`) t.fail(`${i}`)
      t.throws(() => sealer.open([FIELD], sealed[(i + 1) % sealed.length]!), failed)
    }
  }
  t.throws(() => keyring.answers('main', '3').open([FIELD], sealed[6]!), failed)
})

t.test('the same value twice gives different bytes', async (t) => {
  const sealer = keyring.values(CONTEXT)
  const sealed = Array.from({ length: 1_000 }, () => sealer.seal([FIELD], text('secret')).toString('hex'))
  t.equal(new Set(sealed).size, 1_000)
  t.equal(new Set(sealed.map((one) => one.slice(10, 34))).size, 1_000, 'no nonce twice')
})

t.test('a changed or cut value does not open', async (t) => {
  const sealer = keyring.values(CONTEXT)
  const sealed = hex(SEALED_VALUE)
  for (let i = 0; i < sealed.length; i++) {
    for (const bit of [1, 0x80]) {
      const bent = Buffer.from(sealed)
      bent[i]! ^= bit
      t.throws(() => sealer.open([FIELD], bent), failed, `byte ${i} changed by ${bit}`)
    }
    t.throws(() => sealer.open([FIELD], sealed.subarray(0, i)), failed, `cut at ${i}`)
    t.throws(() => sealer.open([FIELD], sealed.subarray(i + 1)), failed, `begins after ${i}`)
  }
  t.throws(() => sealer.open([FIELD], Buffer.concat([sealed, text('0')])), failed, 'one more byte')
})

t.test('a value does not open in another place', async (t) => {
  const sealed = hex(SEALED_VALUE)
  const places: [string, Partial<ValueContext>, string][] = [
    ['another credential', { credentialId: '0193a5b0-0000-7000-8000-000000000002' }, FIELD],
    ['another environment', { environment: 'production' }, FIELD],
    ['an earlier revision', { sealedRevision: 2 }, FIELD],
    ['a later revision', { sealedRevision: 4 }, FIELD],
    ['another field', {}, '0193a5b0-0000-7000-8000-00000000000e'],
    ['credential and field swapped', { credentialId: FIELD }, CONTEXT.credentialId],
    ['a moved boundary of parts', { credentialId: `${CONTEXT.credentialId}main`, environment: '' }, FIELD],
    ['another spelling of the credential', { credentialId: CONTEXT.credentialId.toUpperCase() }, FIELD]
  ]
  for (const [name, change, field] of places) {
    t.throws(() => keyring.values({ ...CONTEXT, ...change }).open([field], sealed), failed, name)
  }
  t.throws(() => keyring.values(CONTEXT).open([], sealed), failed, 'no field')
  t.throws(() => keyring.values(CONTEXT).open([FIELD, ''], sealed), failed, 'one more part')
  t.throws(
    () => keyring.answers(CONTEXT.credentialId, CONTEXT.environment).open([FIELD], sealed),
    failed,
    'as a stored answer'
  )
})

t.test('a value does not open under another data key number, even if the key is the same', async (t) => {
  const twice = new Keyring(
    new Map([
      [7, sequence(0x40)],
      [9, sequence(0x40)]
    ]),
    7
  )
  const moved = hex(SEALED_VALUE)
  moved.writeUInt32BE(9, 1)
  t.throws(() => twice.values(CONTEXT).open([FIELD], moved), failed)
  moved.writeUInt32BE(8, 1)
  t.throws(() => keyring.values(CONTEXT).open([FIELD], moved), failed)
})

t.test('a stored answer opens for its principal and key only', async (t) => {
  const sealed = keyring.answers('ann', 'k').seal([], text('answer'))
  t.equal(keyring.answers('ann', 'k').open([], sealed).toString(), 'answer')
  t.throws(() => keyring.answers('bob', 'k').open([], sealed), failed)
  t.throws(() => keyring.answers('ann', 'l').open([], sealed), failed)
  t.throws(() => keyring.answers('an', 'nk').open([], sealed), failed)
  const asValue = { credentialId: 'ann', environment: 'k', sealedRevision: 1 }
  t.throws(() => keyring.values(asValue).open([], sealed), failed)
})

t.test('a keyring requires its current key', async (t) => {
  t.throws(() => new Keyring(new Map([[1, sequence(0)]]), 2), RangeError)
  t.throws(() => new Keyring(new Map(), 1), RangeError)
})

t.test('a keyring keeps a copy of its keys', async (t) => {
  const keys = new Map([[7, sequence(0x40)]])
  const made = new Keyring(keys, 7)
  keys.clear()
  t.equal(made.values(CONTEXT).open([FIELD], hex(SEALED_VALUE)).toString(), '"correct horse"')
})

t.test('a keyring does not print its keys', async (t) => {
  const key = Buffer.alloc(32, 1)
  const made = new Keyring(new Map([[1, key]]), 1)
  const sealer = made.values(CONTEXT)
  const deep = { depth: 10, showHidden: true }
  const printed = [made, sealer]
    .flatMap((one) => [
      JSON.stringify(one),
      JSON.stringify({ within: [one] }),
      inspect(one, deep),
      inspect({ within: [one] }, deep),
      String(one),
      `${one}`,
      Object.values(one).map(String).join()
    ])
    .join('\n')
  for (const trace of [key.toString('base64').slice(0, 8), '010101', '01 01', '1,1', '1, 1']) {
    t.notMatch(printed, trace, `no "${trace}"`)
  }
  t.match(inspect(made), '"current":1')
})

t.test('refresh loads the keys of the source, and keeps the loaded ones if the source fails', async (t) => {
  let answer = async (held: ReadonlySet<number>): Promise<DataKeys> => {
    t.same([...held], [7], 'the loaded keys are passed to the source')
    return { current: 8, numbers: [7, 8], unwrapped: new Map([[8, sequence(0x60)]]) }
  }
  const ring = new Keyring(new Map([[7, sequence(0x40)]]), 7, (held) => answer(held))
  const early = ring.values(CONTEXT)
  await ring.refresh()
  t.equal(ring.current, 8)
  t.equal(dataKeyOf(early.seal([FIELD], text('x'))), early.dataKeyNo, 'a sealer keeps its data key')
  t.equal(early.dataKeyNo, 7)
  answer = async () => {
    throw new Error('away')
  }
  await t.rejects(ring.refresh(), { message: 'away' })
  t.equal(ring.current, 8)
  t.equal(ring.values(CONTEXT).open([FIELD], hex(SEALED_VALUE)).toString(), '"correct horse"')
  answer = async () => ({ current: 8, numbers: [8], unwrapped: new Map() })
  await ring.refresh()
  t.throws(
    () => ring.values(CONTEXT).open([FIELD], hex(SEALED_VALUE)),
    { name: 'UnknownDataKey' },
    'destroyed'
  )
})

t.test('concurrent look-ups of a missing number read the source once', async (t) => {
  let reads = 0
  const ring = new Keyring(new Map([[7, sequence(0x40)]]), 7, async () => {
    reads++
    return { current: 7, numbers: [7], unwrapped: new Map() }
  })
  const madeUp = Buffer.from(hex(SEALED_VALUE))
  madeUp[4] = 9
  const open = () => ring.values(CONTEXT).open([FIELD], madeUp)
  t.throws(open, { name: 'UnknownDataKey', number: 9 })
  await Promise.all(Array.from({ length: 20 }, () => ring.loadKey(9)))
  t.equal(reads, 1)
  t.throws(open, { name: 'DecryptionFailed' })
  await ring.refresh()
  t.throws(open, { name: 'UnknownDataKey' }, 'until the next refresh')
})

t.test('a load that began before the key was created is repeated', async (t) => {
  let made = false
  const gates: (() => void)[] = []
  const ring = new Keyring(new Map([[7, sequence(0x40)]]), 7, async () => {
    const numbers = made ? [7, 8] : [7]
    await new Promise<void>((resolve) => gates.push(resolve))
    return { current: 7, numbers, unwrapped: new Map([[8, sequence(0x60)]]) }
  })
  const first = ring.refresh()
  made = true
  const found = ring.loadKey(8)
  gates[0]!()
  await first
  while (gates.length < 2) await new Promise((resolve) => setImmediate(resolve))
  gates[1]!()
  await found
  const sealed = new Keyring(new Map([[8, sequence(0x60)]]), 8).values(CONTEXT).seal([FIELD], text('new'))
  t.equal(ring.values(CONTEXT).open([FIELD], sealed).toString(), 'new')
})
