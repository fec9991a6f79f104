import { createHash } from 'node:crypto'
import { hash as argon2 } from '@node-rs/argon2'
import t from 'tap'
import { checkPassword, hashPassword, passwordFits } from '../../src/crypto/passwords.ts'
import { hashToken, newToken } from '../../src/crypto/tokens.ts'

const PASSWORD = 'correct horse battery'

t.test('a password is hashed by Argon2id, with at least the cost that OWASP recommends', async (t) => {
  const hash = await hashPassword(PASSWORD)
  const [, m, time, lanes] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$[^$]{22,}\$[^$]{43}$/.exec(hash)!
  t.ok(Number(m) >= 19_456, 'memory')
  t.ok(Number(time) >= 2, 'passes')
  t.ok(Number(lanes) >= 1, 'lanes')
  t.not(hash, await hashPassword(PASSWORD), 'each hash has its own salt')
})

t.test('only the right password fits a hash', async (t) => {
  const hash = await hashPassword(PASSWORD)
  t.ok(await passwordFits(hash, PASSWORD))
  for (const wrong of ['Correct horse battery', `${PASSWORD} `, PASSWORD.slice(0, -1), '', `${PASSWORD}\0`]) {
    t.notOk(await passwordFits(hash, wrong), JSON.stringify(wrong))
  }
})

t.test('no character of a long password is ignored', async (t) => {
  const long = 'p'.repeat(256)
  const hash = await hashPassword(long)
  t.ok(await passwordFits(hash, long))
  t.notOk(await passwordFits(hash, `${long.slice(0, -1)}q`))
  t.notOk(await passwordFits(hash, long.slice(0, 72)))
})

t.test('a password hash of the first release fits', async (t) => {
  const hash =
    '$argon2id$v=19$m=19456,t=2,p=1$smu8A7XKovrzr6ffxe3cZw$EYf3KVE4bCKMWuQKjjxRZ1oD3zCIuzSQYoUgJsJNDH8'
  t.ok(await passwordFits(hash, PASSWORD))
})

t.test('a password fits in every Unicode form, and with every kind of space', async (t) => {
  const [composed, decomposed] = ['p\u00e4ssw\u00f6rd \u00c5', 'pa\u0308sswo\u0308rd\u00a0\u212b']
  for (const set of [composed, decomposed]) {
    const hash = await hashPassword(set)
    for (const typed of [composed, decomposed, 'p\u00e4ssw\u00f6rd\u3000\u00c5'])
      t.same(await checkPassword(hash, typed), { fits: true, outdated: false }, JSON.stringify(typed))
    for (const other of ['P\u00e4ssw\u00f6rd \u00c5', 'passwo\u0308rd \u00c5', 'p\u00e4ssw\u00f6rd\u00c5'])
      t.notOk(await passwordFits(hash, other), JSON.stringify(other))
  }
})

t.test('a hash of an earlier version fits the password in the form in which it was typed', async (t) => {
  // Hashed without preparation (RFC 8265), as in earlier versions.
  const typed = 'pa\u0308sswo\u0308rd\u00a0horse'
  const hash = await argon2(typed, { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 })
  t.same(await checkPassword(hash, typed), { fits: true, outdated: true })
  t.same(await checkPassword(hash, typed.normalize('NFC')), { fits: false, outdated: false })
})

for (const [what, wrong] of [
  ['a wrong password', 'not this one at all'],
  ['a wrong password that is not in NFC', 'no\u0308t this one at all']
] as const) {
  t.test(`an unknown account takes the same work as ${what}`, async (t) => {
    const hash = await hashPassword(PASSWORD)
    t.notOk(await passwordFits(undefined, PASSWORD))
    // CPU time in µs, because the elapsed time depends on the load of the machine.
    const costOf = async (known: string | undefined) => {
      const from = process.cpuUsage()
      await passwordFits(known, wrong)
      const { user, system } = process.cpuUsage(from)
      return user + system
    }
    const [known, unknown]: [number[], number[]] = [[], []]
    for (let i = 0; i < 15; i++) {
      known.push(await costOf(hash))
      unknown.push(await costOf(undefined))
    }
    // The minimum is the run with the least other work of this process. Without the dummy hash, the ratio
    // would be a thousandth.
    const ratio = Math.min(...unknown) / Math.min(...known)
    t.ok(ratio > 0.6 && ratio < 1.6, `${ratio} times the work`)
  })
}

t.test('a token has 256 random bits and is safe in a cookie and a URL', async (t) => {
  const tokens = Array.from({ length: 1_000 }, newToken)
  t.equal(new Set(tokens).size, 1_000)
  t.ok(tokens.every((token) => /^[A-Za-z0-9_-]{43}$/.test(token)))
  t.ok(tokens.every((token) => Buffer.from(token, 'base64url').length === 32))
})

t.test('the hash of a token is its SHA-256', async (t) => {
  t.equal(
    hashToken('abc').toString('hex'),
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    'FIPS 180-4, "abc"'
  )
  const token = newToken()
  t.same(hashToken(token), createHash('sha256').update(token).digest())
})
