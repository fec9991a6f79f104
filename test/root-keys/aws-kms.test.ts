import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { parseRootKeys } from '../../src/root-keys/list.ts'
import type { RootKey } from '../../src/root-keys/root-key.ts'
import { type Kms, type KmsFault, startKms } from '../helpers/kms.ts'

const DATA_KEY = randomBytes(32)
const failed = { name: 'DecryptionFailed' }

/** Starts a fake KMS with a key and returns the root key for it. `env` overrides variables of the SDK. */
async function newRootKey(t: Test, env: Record<string, string> = {}) {
  const kms = await startKms(t)
  const arn = kms.newKey('latchkey')
  return { kms, arn, root: rootOf(kms, arn, env) }
}

// The SDK reads the environment at its first call, so calls with different variables must not overlap.
function rootOf(kms: Kms, keyId: string, env: Record<string, string> = {}): RootKey {
  Object.assign(process.env, kms.env, env)
  return parseRootKeys(`prod:aws-kms:${keyId}`)[0]!
}

/** Returns the error message. Asserts that the error contains no secret. */
async function failureOf(t: Test, work: Promise<unknown>, kms: Kms): Promise<string> {
  const error = await work.then(
    () => t.fail('did not fail'),
    (caught: Error) => caught
  )
  t.match(error, { name: 'RootKeyUnavailable' })
  const all = `${inspect(error, { depth: 10, showHidden: true })}`
  const secrets = [kms.env.AWS_SECRET_ACCESS_KEY!, DATA_KEY.toString('base64'), DATA_KEY.toString('hex')]
  for (const secret of secrets) t.notOk(all.includes(secret.slice(0, 12)), 'contains no secret')
  const { message } = error as Error
  t.match(message, /^AWS KMS key "prod" cannot be used: ./)
  t.notMatch(message, '\n', 'one line')
  return message
}

t.test('a data key is wrapped and unwrapped by KMS', async (t) => {
  const { kms, arn, root } = await newRootKey(t)
  const wrapped = await root.wrap(1, DATA_KEY)
  t.equal(wrapped[0], 1)
  t.notOk(wrapped.includes(DATA_KEY))
  t.same(kms.calls, ['Encrypt', 'Decrypt'], 'the wrapped key is verified')
  t.same(await root.unwrap(1, wrapped), DATA_KEY)
  t.same(await rootOf(kms, 'alias/latchkey').unwrap(1, wrapped), DATA_KEY, 'by its alias')
  t.same(await rootOf(kms, arn.split('/')[1]!).unwrap(1, wrapped), DATA_KEY, 'by its id')
})

t.test('a wrapped data key does not unwrap for another number, under another key, or changed', async (t) => {
  const { kms, root } = await newRootKey(t)
  const wrapped = await root.wrap(1, DATA_KEY)
  await t.rejects(root.unwrap(2, wrapped), failed, 'another number')
  await t.rejects(rootOf(kms, kms.newKey()).unwrap(1, wrapped), failed, 'another key')
  for (const i of [0, 1, 20, wrapped.length - 1]) {
    const bent = Buffer.from(wrapped)
    bent[i]! ^= 1
    await t.rejects(root.unwrap(1, bent), failed, `byte ${i} changed`)
  }
  const calls = kms.calls.length
  for (const cut of [Buffer.alloc(0), Buffer.from([1]), Buffer.from([2, 3])]) {
    await t.rejects(root.unwrap(1, cut), failed, 'refused without a call')
  }
  t.equal(kms.calls.length, calls)
})

t.test('temporary failures are retried, up to three attempts; others are not', async (t) => {
  const { kms, root } = await newRootKey(t)
  const wrapped = await root.wrap(1, DATA_KEY)
  const passing: KmsFault[][] = [['throttled'], ['throttled', 'failing'], ['failing', 'throttled']]
  for (const faults of passing) {
    kms.faults.push(...faults)
    t.same(await root.unwrap(1, wrapped), DATA_KEY, faults.join(', '))
  }
  const lasting: [KmsFault[], attempts: number, RegExp][] = [
    [['throttled', 'throttled', 'throttled'], 3, /ThrottlingException/],
    [['failing', 'failing', 'failing'], 3, /KMSInternalException/],
    [['garbage'], 1, /is not from KMS/],
    [['no json'], 1, /is not from KMS/],
    [['short key'], 1, /not a data key/],
    [['denied'], 1, /AccessDeniedException: .*kms:Decrypt/]
  ]
  for (const [faults, attempts, message] of lasting) {
    kms.calls.length = 0
    kms.faults.push(...faults)
    t.match(await failureOf(t, root.unwrap(1, wrapped), kms), message)
    t.equal(kms.calls.length, attempts, faults.join())
    t.same(kms.faults, [])
  }
})

t.test('no error quotes a response that echoes what was sent', async (t) => {
  const { kms, root } = await newRootKey(t)
  for (const fault of ['garbage', 'no json', 'short key'] as const) {
    kms.faults.push(fault)
    await failureOf(t, root.wrap(1, DATA_KEY), kms)
  }
})

t.test('wrapping fails if the key encrypts and does not decrypt', async (t) => {
  const { kms, root } = await newRootKey(t)
  kms.deny('Decrypt')
  t.match(await failureOf(t, root.wrap(1, DATA_KEY), kms), /kms:Decrypt/)
})

t.test('three attempts on a silent KMS fail within ten seconds', async (t) => {
  const { kms, root } = await newRootKey(t)
  const wrapped = await root.wrap(1, DATA_KEY)
  kms.calls.length = 0
  kms.faults.push('silent')
  t.same(await root.unwrap(1, wrapped), DATA_KEY, 'one timeout is retried')
  t.equal(kms.calls.length, 2)
  kms.faults.push('silent', 'silent', 'silent', 'silent')
  kms.calls.length = 0
  const since = performance.now()
  t.match(await failureOf(t, root.unwrap(1, wrapped), kms), /no response within 2\.0 s/)
  t.equal(kms.calls.length, 3)
  t.ok(performance.now() - since < 10_000, 'in time')
})

t.test('the error for an unreachable KMS gives the reason', async (t) => {
  const { kms, root } = await newRootKey(t)
  const wrapped = await root.wrap(1, DATA_KEY)
  await kms.stop()
  t.match(await failureOf(t, root.unwrap(1, wrapped), kms), /connect ECONNREFUSED 127\.0\.0\.1:\d+$/)
  await kms.restart()
  t.same(await root.unwrap(1, wrapped), DATA_KEY, 'KMS is used again when it is back')
})

t.test('the error for wrong credentials gives the reason', async (t) => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ AWS_SECRET_ACCESS_KEY: 'wrong' }, /InvalidSignatureException/],
    [{ AWS_ACCESS_KEY_ID: 'AKIAUNKNOWN' }, /UnrecognizedClientException/],
    [{ AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' }, /no AWS credentials/]
  ]
  for (const [env, message] of cases) {
    const { kms, root } = await newRootKey(t, env)
    t.match(await failureOf(t, root.wrap(1, DATA_KEY), kms), message)
    t.ok(kms.calls.length === 0, 'KMS is not called')
  }
})

t.test('the error for an unknown key gives the reason, and an ARN overrides the region', async (t) => {
  const { kms } = await newRootKey(t)
  t.match(await failureOf(t, rootOf(kms, 'alias/none').wrap(1, DATA_KEY), kms), /NotFoundException/)
  const arn = kms.newKey()
  t.ok(await rootOf(kms, arn, { AWS_REGION: 'us-east-1' }).wrap(1, DATA_KEY))
  delete process.env.AWS_REGION
  const root = parseRootKeys('prod:aws-kms:alias/latchkey')[0]!
  t.match(await failureOf(t, root.wrap(1, DATA_KEY), kms), /AWS_REGION is not set/)
})

t.test('a root key does not print its credentials', async (t) => {
  const { kms, root } = await newRootKey(t)
  await root.wrap(1, DATA_KEY)
  const printed = `${inspect(root, { depth: 10, showHidden: true })}${JSON.stringify(root)}`
  t.match(printed, root.fingerprint)
  t.notMatch(printed, kms.env.AWS_SECRET_ACCESS_KEY!.slice(0, 8))
})
