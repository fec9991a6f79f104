// As much of AWS KMS as encrypts and decrypts: JSON 1.1, Signature Version 4 checked, keys that never leave.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  randomBytes,
  randomUUID
} from 'node:crypto'
import type { Test } from 'tap'
import { type Answer, type Asked, type FakeServer, startFakeServer } from './fake-server.ts'

const REGION = 'eu-west-1'
const LATEST_SKEW_MS = 5 * 60_000

/** What the next calls meet; afterwards all is well. */
export type KmsFault = 'silent' | 'throttled' | 'failing' | 'denied' | 'garbage' | 'no json' | 'short key'

export interface Kms extends FakeServer {
  /** The standard variables by which AWS's SDK finds this server and its credentials. */
  env: Record<string, string>
  /** `Encrypt` and `Decrypt`, as they came and were signed well. */
  calls: string[]
  faults: KmsFault[]
  /** Makes a key and gives its ARN; `alias` names it as well. */
  newKey(alias?: string): string
  /** Does not grant this action to anybody any more. */
  deny(action: 'Encrypt' | 'Decrypt'): void
}

export async function startKms(t: Test): Promise<Kms> {
  const accessKeyId = `AKIA${randomBytes(8).toString('hex').toUpperCase()}`
  const secret = randomBytes(30).toString('base64')
  const keys = new Map<string, Buffer>()
  const aliases = new Map<string, string>()
  const denied = new Set<string>()
  const calls: string[] = []
  const faults: KmsFault[] = []

  const arnOf = (keyId: string) => aliases.get(keyId) ?? [...keys.keys()].find((arn) => arn.endsWith(keyId))
  const act: Record<string, (input: Input) => Answer> = {
    Encrypt({ KeyId, Plaintext, EncryptionContext }) {
      const arn = arnOf(KeyId)
      if (!arn) return refusal('NotFoundException', `Key '${KeyId}' does not exist`)
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', keys.get(arn)!, nonce).setAAD(contextOf(EncryptionContext))
      const parts = [nonce, cipher.update(Plaintext!, 'base64'), cipher.final(), cipher.getAuthTag()]
      const blob = Buffer.concat([Buffer.from([arn.length]), Buffer.from(arn), ...parts])
      return well({ KeyId: arn, CiphertextBlob: blob.toString('base64') })
    },
    Decrypt({ KeyId, CiphertextBlob, EncryptionContext }) {
      const arn = arnOf(KeyId)
      if (!arn) return refusal('NotFoundException', `Key '${KeyId}' does not exist`)
      const blob = Buffer.from(CiphertextBlob!, 'base64')
      const start = 1 + (blob[0] ?? 0)
      const madeBy = keys.get(blob.subarray(1, start).toString())
      if (!madeBy || blob.length < start + 28) return refusal('InvalidCiphertextException')
      if (madeBy !== keys.get(arn))
        return refusal('IncorrectKeyException', 'The key ID is not that of the key')
      const decipher = createDecipheriv('aes-256-gcm', madeBy, blob.subarray(start, start + 12))
        .setAAD(contextOf(EncryptionContext))
        .setAuthTag(blob.subarray(-16))
      try {
        const plain = Buffer.concat([decipher.update(blob.subarray(start + 12, -16)), decipher.final()])
        return well({ KeyId: arn, Plaintext: plain.toString('base64') })
      } catch {
        return refusal('InvalidCiphertextException')
      }
    }
  }

  const standIn = await startFakeServer(t, (asked) => {
    const unsigned = signatureFault(asked, accessKeyId, secret)
    if (unsigned) return unsigned
    const action = String(asked.headers['x-amz-target']).replace('TrentService.', '')
    calls.push(action)
    switch (faults.shift()) {
      case 'silent':
        return undefined
      case 'throttled':
        return refusal('ThrottlingException', 'You have exceeded the rate at which you may call KMS.')
      case 'failing':
        return refusal('KMSInternalException', 'The request failed', 500)
      case 'denied':
        denied.add(action)
        break
      case 'garbage':
        return { status: 200, body: `<html>${asked.body.toString()}</html>` }
      case 'no json':
        return { status: 200, body: asked.body.toString().replace('{', '{{') }
      case 'short key':
        return well({ KeyId: 'x', Plaintext: 'AAAA', CiphertextBlob: 'AAAA' })
    }
    if (denied.has(action)) {
      const message = `User: arn:aws:iam::111122223333:user/latchkey is not authorized to perform: kms:${action}`
      return refusal('AccessDeniedException', message)
    }
    return act[action]?.(JSON.parse(asked.body.toString()) as Input) ?? refusal('UnknownOperationException')
  })

  return {
    ...standIn,
    env: {
      AWS_REGION: REGION,
      AWS_ENDPOINT_URL_KMS: standIn.origin,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secret,
      // Nothing of the machine that the test runs on.
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null'
    },
    calls,
    faults,
    newKey(alias) {
      const arn = `arn:aws:kms:${REGION}:111122223333:key/${randomUUID()}`
      keys.set(arn, randomBytes(32))
      if (alias) aliases.set(`alias/${alias}`, arn)
      return arn
    },
    deny: (action) => denied.add(action)
  }
}

interface Input {
  KeyId: string
  Plaintext?: string
  CiphertextBlob?: string
  EncryptionContext?: Record<string, string>
}

const contextOf = (context: Record<string, string> = {}) =>
  Buffer.from(JSON.stringify(Object.entries(context).sort()))

const well = (body: object): Answer => ({
  status: 200,
  headers: { 'content-type': 'application/x-amz-json-1.1' },
  body: JSON.stringify(body)
})

const refusal = (type: string, message = '', status = 400): Answer => ({
  status,
  headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-errortype': type },
  body: JSON.stringify({ __type: type, message })
})

const sha256 = (text: string | Buffer) => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()

/** Undefined when the request is signed as AWS asks for it, by these credentials, now. */
function signatureFault(asked: Asked, accessKeyId: string, secret: string): Answer | undefined {
  const parts =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8}\/[^/]+\/kms\/aws4_request), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      asked.headers.authorization ?? ''
    )
  if (!parts) return refusal('IncompleteSignatureException')
  const [, id, scope = '', names = '', signature] = parts
  if (id !== accessKeyId) {
    return refusal('UnrecognizedClientException', 'The security token included in the request is invalid.')
  }
  const [date = '', region] = scope.split('/')
  const time = String(asked.headers['x-amz-date'])
  const iso = time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z')
  if (!(Math.abs(Date.now() - Date.parse(iso)) < LATEST_SKEW_MS) || !time.startsWith(date)) {
    return refusal('InvalidSignatureException', `Signature expired: ${time}`)
  }
  const signed = names.split(';')
  const needed = ['host', ...Object.keys(asked.headers).filter((name) => name.startsWith('x-amz-'))]
  if (!needed.every((name) => signed.includes(name)) || region !== REGION) {
    return refusal('InvalidSignatureException', 'a header that has to be signed is not')
  }
  const [path, query = ''] = asked.url.split('?')
  const lines = signed.map((name) => `${name}:${String(asked.headers[name]).trim()}\n`).join('')
  const canonical = [asked.method, path, query, lines, names, sha256(asked.body)].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')
  const key = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${secret}`)
  return hmac(key, toSign).toString('hex') === signature
    ? undefined
    : refusal('InvalidSignatureException', 'The request signature we calculated does not match.')
}
