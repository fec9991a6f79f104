import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { parseRootKeys } from '../../src/root-keys/list.ts'
import type { RootKey } from '../../src/root-keys/root-key.ts'
import { type Kms, type KmsFault, startKms } from '../helpers/kms.ts'

const DATA_KEY = randomBytes(32)
const failed = { name: 'DecryptionFailed' }

/** KMS with a key, and the root key that it is; `env` goes over the variables by which the SDK finds both. */
async function newRootKey(t: Test, env: Record<string, string> = {}) {
  const kms = await startKms(t)
  const arn = kms.newKey('latchkey')
  return { kms, arn, root: rootOf(kms, arn, env) }
}

// The SDK reads the environment when it is first used, which is with the first call: hence one call at a time.
function rootOf(kms: Kms, keyId: string, env: Record<string, string> = {}): RootKey {
  Object.assign(process.env, kms.env, env)
  return parseRootKeys(`prod:aws-kms:${keyId}`)[0]!
}

/** The error's message, having looked through all that it could print. */
async function failureOf(t: Test, work: Promise<unknown>, kms: Kms): Promise<string> {
  const error = await work.then(
    () => t.fail('did not fail'),
    (caught: Error) => caught
  )
  t.match(error, { name: 'RootKeyUnavailable' })
  const all = `${inspect(error, { depth: 10, showHidden: true })}`
  const secrets = [kms.env.AWS_SECRET_ACCESS_KEY!, DATA_KEY.toString('base64'), DATA_KEY.toString('hex')]
  for (const secret of secrets) t.notOk(all.includes(secret.slice(0, 12)), 'no secret in it')
  const { message } = error as Error
  t.match(message, /^AWS KMS key "prod" cannot be used: ./)
  t.notMatch(message, '\n', 'one line')
  return message
}

t.test('a data key comes back from KMS as it was', async (t) => {
  const { kms, arn, root } = await newRootKey(t)
  const wrapped = await root.wrap(1, DATA_KEY)
  t.equal(wrapped[0], 1)
  t.notOk(wrapped.includes(DATA_KEY))
  t.same(kms.calls, ['Encrypt', 'Decrypt'], 'and is seen to, before it is stored')
  t.same(await root.unwrap(1, wrapped), DATA_KEY)
  t.same(await rootOf(kms, 'alias/latchkey').unwrap(1, wrapped), DATA_KEY, 'by its alias')
  t.same(await rootOf(kms, arn.split('/')[1]!).unwrap(1, wrapped), DATA_KEY, 'by its id')
})

t.test('it unwraps for no other number, under no other key, and not changed', async (t) => {
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
    await t.rejects(root.unwrap(1, cut), failed, 'nothing to ask for')
  }
  t.equal(kms.calls.length, calls)
})

t.test('what may pass is tried three times, and what may not is tried once', async (t) => {
  const { kms, root } = await newRootKey(t)
  const wrapped = await root.wrap(1, DATA_KEY)
  const passing: KmsFault[][] = [['throttled'], ['throttled', 'failing'], ['failing', 'throttled']]
  for (const faults of passing) {
    kms.faults.push(...faults)
    t.same(await root.unwrap(1, wrapped), DATA_KEY, faults.join(', '))
  }
  const lasting: [KmsFault[], tried: number, RegExp][] = [
    [['throttled', 'throttled', 'throttled'], 3, /ThrottlingException/],
    [['failing', 'failing', 'failing'], 3, /KMSInternalException/],
    [['garbage'], 1, /is not one of KMS/],
    [['no json'], 1, /is not one of KMS/],
    [['short key'], 1, /no data key/],
    [['denied'], 1, /AccessDeniedException: .*kms:Decrypt/]
  ]
  for (const [faults, tried, message] of lasting) {
    kms.calls.length = 0
    kms.faults.push(...faults)
    t.match(await failureOf(t, root.unwrap(1, wrapped), kms), message)
    t.equal(kms.calls.length, tried, faults.join())
    t.same(kms.faults, [])
  }
})

t.test('nothing that KMS answers shows what was sent', async (t) => {
  const { kms, root } = await newRootKey(t)
  for (const fault of ['garbage', 'no json', 'short key'] as const) {
    kms.faults.push(fault)
    await failureOf(t, root.wrap(1, DATA_KEY), kms)
  }
})

t.test('a key that encrypts and does not decrypt is refused before anything is stored', async (t) => {
  const { kms, root } = await newRootKey(t)
  kms.deny('Decrypt')
  t.match(await failureOf(t, root.wrap(1, DATA_KEY), kms), /kms:Decrypt/)
})

t.test('a silent KMS is given up after three attempts, within ten seconds', async (t) => {
  const { kms, root } = await newRootKey(t)
  const wrapped = await root.wrap(1, DATA_KEY)
  kms.calls.length = 0
  kms.faults.push('silent')
  t.same(await root.unwrap(1, wrapped), DATA_KEY, 'one silence is no harm')
  t.equal(kms.calls.length, 2)
  kms.faults.push('silent', 'silent', 'silent', 'silent')
  kms.calls.length = 0
  const since = performance.now()
  t.match(await failureOf(t, root.unwrap(1, wrapped), kms), /no answer within 2\.0 s/)
  t.equal(kms.calls.length, 3)
  t.ok(performance.now() - since < 10_000, 'in time')
})

t.test('a KMS that is not there is named with the reason', async (t) => {
  const { kms, root } = await newRootKey(t)
  const wrapped = await root.wrap(1, DATA_KEY)
  await kms.stop()
  t.match(await failureOf(t, root.unwrap(1, wrapped), kms), /connect ECONNREFUSED 127\.0\.0\.1:\d+$/)
  await kms.restart()
  t.same(await root.unwrap(1, wrapped), DATA_KEY, 'and is used again when it is back')
})

t.test('wrong credentials are said to be wrong', async (t) => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ AWS_SECRET_ACCESS_KEY: 'wrong' }, /InvalidSignatureException/],
    [{ AWS_ACCESS_KEY_ID: 'AKIAUNKNOWN' }, /UnrecognizedClientException/],
    [{ AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' }, /no AWS credentials/]
  ]
  for (const [env, message] of cases) {
    const { kms, root } = await newRootKey(t, env)
    t.match(await failureOf(t, root.wrap(1, DATA_KEY), kms), message)
    t.ok(kms.calls.length === 0, 'nobody else is asked for it')
  }
})

t.test('a key that is not there is said so; an ARN says its region', async (t) => {
  const { kms } = await newRootKey(t)
  t.match(await failureOf(t, rootOf(kms, 'alias/none').wrap(1, DATA_KEY), kms), /NotFoundException/)
  const arn = kms.newKey()
  t.ok(await rootOf(kms, arn, { AWS_REGION: 'us-east-1' }).wrap(1, DATA_KEY))
  delete process.env.AWS_REGION
  const root = parseRootKeys('prod:aws-kms:alias/latchkey')[0]!
  t.match(await failureOf(t, root.wrap(1, DATA_KEY), kms), /AWS_REGION is not set/)
})

t.test('the root key does not print what it holds', async (t) => {
  const { kms, root } = await newRootKey(t)
  await root.wrap(1, DATA_KEY)
  const printed = `${inspect(root, { depth: 10, showHidden: true })}${JSON.stringify(root)}`
  t.match(printed, root.fingerprint)
  t.notMatch(printed, kms.env.AWS_SECRET_ACCESS_KEY!.slice(0, 8))
})
