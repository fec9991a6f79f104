import { createSecretKey } from 'node:crypto'
import t from 'tap'
import { DecryptionFailed, framed, NONCE_BYTES, open, seal, TAG_BYTES } from '../../src/crypto/aead.ts'
import { deriveKey, expand } from '../../src/crypto/derive.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const keyOf = (bytes: Buffer) => createSecretKey(bytes)
const KEY = keyOf(Buffer.alloc(32, 7))
const CONTEXT = framed(['a context'])
const failed = { name: 'DecryptionFailed' }

// McGrew and Viega, The Galois/Counter Mode of Operation, appendix B, test cases 13, 14 and 16.
const gcm = [
  {
    name: 'test case 13',
    key: '00'.repeat(32),
    nonce: '00'.repeat(12),
    plaintext: '',
    context: '',
    ciphertext: '',
    tag: '530f8afbc74536b9a963b4f1c4cb738b'
  },
  {
    name: 'test case 14',
    key: '00'.repeat(32),
    nonce: '00'.repeat(12),
    plaintext: '00'.repeat(16),
    context: '',
    ciphertext: 'cea7403d4d606b6e074ec5d3baf39d18',
    tag: 'd0d1c8a799996bf0265b98b5d48ab919'
  },
  {
    name: 'test case 16',
    key: 'feffe9928665731c6d6a8f9467308308 feffe9928665731c6d6a8f9467308308',
    nonce: 'cafebabefacedbaddecaf888',
    plaintext:
      'd9313225f88406e5a55909c5aff5269a 86a7a9531534f7da2e4c303d8a318a72 ' +
      '1c3c0c95956809532fcf0e2449a6b525 b16aedf5aa0de657ba637b39',
    context: 'feedfacedeadbeeffeedfacedeadbeef abaddad2',
    ciphertext:
      '522dc1f099567d07f47f37a32a84427d 643a8cdcbfe5c0c97598a2bd2555d1aa ' +
      '8cb08e48590dbb3da7b08b1056828838 c5f61e6393ba7a0abcc9f662',
    tag: '76fc6ece0f4e1768cddf8853bb2d551b'
  }
]

t.test('opens the published test vectors of AES-256-GCM', async (t) => {
  for (const { name, key, nonce, plaintext, context, ciphertext, tag } of gcm) {
    const sealed = Buffer.concat([hex(nonce), hex(ciphertext), hex(tag)])
    t.same(open(keyOf(hex(key)), sealed, hex(context)), hex(plaintext), name)
  }
})

t.test('expands the key of test case 1 in RFC 5869', async (t) => {
  const key = hex('077709362c2e32df0ddc3f0dc47bba63 90b6c73bb50f9c3122ec844ad7c2b3e5')
  const first32 = hex('3cb25f25faacd57a90434f64d0362f2a 2d2d0a90cf1a5a4c5db02d56ecc4c5bf')
  t.same(expand(keyOf(key), hex('f0f1f2f3f4f5f6f7f8f9')), first32)
})

t.test('a value of any length opens to its plaintext', async (t) => {
  for (const length of [0, 1, 15, 16, 17, 65_536]) {
    const plaintext = Buffer.alloc(length, 'x')
    const sealed = seal(KEY, plaintext, CONTEXT)
    t.equal(sealed.length, NONCE_BYTES + length + TAG_BYTES)
    t.same(open(KEY, sealed, CONTEXT), plaintext)
  }
})

t.test('the same value sealed twice gives different bytes', async (t) => {
  const sealed = Array.from({ length: 1_000 }, () => seal(KEY, Buffer.from('secret'), CONTEXT))
  t.equal(new Set(sealed.map((one) => one.toString('hex'))).size, 1_000)
  t.equal(new Set(sealed.map((one) => one.toString('hex', 0, NONCE_BYTES))).size, 1_000, 'no nonce twice')
})

t.test('a changed value, key or context does not open', async (t) => {
  const sealed = seal(KEY, Buffer.from('secret'), CONTEXT)
  for (let i = 0; i < sealed.length; i++) {
    const bent = Buffer.from(sealed)
    bent[i]! ^= 1
    t.throws(() => open(KEY, bent, CONTEXT), failed, `byte ${i} changed`)
    t.throws(() => open(KEY, sealed.subarray(0, i), CONTEXT), failed, `cut at ${i}`)
    t.throws(() => open(KEY, sealed.subarray(i + 1), CONTEXT), failed, `begins after ${i}`)
  }
  t.throws(() => open(KEY, Buffer.concat([sealed, Buffer.from([0])]), CONTEXT), failed, 'one more byte')
  t.throws(() => open(KEY, sealed, framed(['another context'])), failed, 'another context')
  t.throws(() => open(KEY, sealed, Buffer.alloc(0)), failed, 'no context')
  t.throws(() => open(keyOf(Buffer.alloc(32, 8)), sealed, CONTEXT), failed, 'another key')
  t.same(open(KEY, sealed, CONTEXT), Buffer.from('secret'), 'the unchanged value opens')
})

t.test('the error is the same for every cause', async (t) => {
  const sealed = seal(KEY, Buffer.from('secret'), CONTEXT)
  const errors = [sealed.subarray(1), Buffer.alloc(0), Buffer.alloc(200)].map((bytes) => {
    try {
      return open(KEY, bytes, CONTEXT)
    } catch (error) {
      return error
    }
  })
  for (const error of errors) {
    t.type(error, DecryptionFailed)
    t.equal((error as Error).message, (errors[0] as Error).message)
    t.equal((error as Error).cause, undefined)
  }
})

t.test('different lists of parts give different bytes', async (t) => {
  const lists = [
    [],
    [''],
    ['', ''],
    ['ab', 'c'],
    ['a', 'bc'],
    ['abc'],
    ['abc', ''],
    ['', 'abc'],
    ['a', 'b', 'c'],
    ['a\0\0\0\x01b', 'c'],
    ['a', 'b\0\0\0\x01c'],
    ['\0\0\0\0'],
    ['é'],
    ['e\u0301']
  ]
  t.equal(new Set(lists.map((list) => framed(list).toString('hex'))).size, lists.length)
  t.same(framed(['é', '']), hex('00000002 c3a9 00000000'), 'lengths are in bytes')
})

t.test('each purpose and context has its own key', async (t) => {
  const keys = [
    deriveKey(KEY, 'one', ['a', 'b']),
    deriveKey(KEY, 'one', ['ab']),
    deriveKey(KEY, 'one', ['b', 'a']),
    deriveKey(KEY, 'onea', ['b']),
    deriveKey(KEY, 'two', ['a', 'b']),
    deriveKey(keyOf(Buffer.alloc(32, 8)), 'one', ['a', 'b'])
  ]
  t.equal(new Set(keys.map((key) => key.export().toString('hex'))).size, keys.length)
  t.ok(keys.every((key) => key.symmetricKeySize === 32))
})
