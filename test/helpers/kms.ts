// A fake AWS KMS with Encrypt and Decrypt, over JSON 1.1. It checks Signature Version 4.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  randomBytes,
  randomUUID
} from 'node:crypto'
import type { Test } from 'tap'
import { type FakeRequest, type FakeResponse, type FakeServer, startFakeServer } from './fake-server.ts'

const REGION = 'eu-west-1'
const MAX_CLOCK_SKEW_MS = 5 * 60_000

/** Faults for the next calls, one each. */
export type KmsFault = 'silent' | 'throttled' | 'failing' | 'denied' | 'garbage' | 'no json' | 'short key'

export interface Kms extends FakeServer {
  /** The environment variables of the SDK, with the address and the credentials of this server. */
  env: Record<string, string>
  /** The operations of the requests with a valid signature, in order. */
  calls: string[]
  faults: KmsFault[]
  /** Creates a key, with an alias if given, and returns its ARN. */
  newKey(alias?: string): string
  /** Denies this action from now on. */
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
  const operations: Record<string, (input: Input) => FakeResponse> = {
    Encrypt({ KeyId, Plaintext, EncryptionContext }) {
      const arn = arnOf(KeyId)
      if (!arn) return refusal('NotFoundException', `Key '${KeyId}' does not exist`)
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', keys.get(arn)!, nonce).setAAD(contextOf(EncryptionContext))
      const parts = [nonce, cipher.update(Plaintext!, 'base64'), cipher.final(), cipher.getAuthTag()]
      const blob = Buffer.concat([Buffer.from([arn.length]), Buffer.from(arn), ...parts])
      return ok({ KeyId: arn, CiphertextBlob: blob.toString('base64') })
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
        return ok({ KeyId: arn, Plaintext: plain.toString('base64') })
      } catch {
        return refusal('InvalidCiphertextException')
      }
    }
  }

  const server = await startFakeServer(t, (request) => {
    const unsigned = signatureFault(request, accessKeyId, secret)
    if (unsigned) return unsigned
    const action = String(request.headers['x-amz-target']).replace('TrentService.', '')
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
        return { status: 200, body: `<html>${request.body.toString()}</html>` }
      case 'no json':
        return { status: 200, body: request.body.toString().replace('{', '{{') }
      case 'short key':
        return ok({ KeyId: 'x', Plaintext: 'AAAA', CiphertextBlob: 'AAAA' })
    }
    if (denied.has(action)) {
      const user = 'arn:aws:iam::111122223333:user/latchkey'
      return refusal('AccessDeniedException', `User: ${user} is not authorized to perform: kms:${action}`)
    }
    return (
      operations[action]?.(JSON.parse(request.body.toString()) as Input) ??
      refusal('UnknownOperationException')
    )
  })

  return {
    ...server,
    env: {
      AWS_REGION: REGION,
      AWS_ENDPOINT_URL_KMS: server.origin,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secret,
      // Prevents the SDK from using credentials of the machine that runs the test.
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

const ok = (body: object): FakeResponse => ({
  status: 200,
  headers: { 'content-type': 'application/x-amz-json-1.1' },
  body: JSON.stringify(body)
})

const refusal = (type: string, message = '', status = 400): FakeResponse => ({
  status,
  headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-errortype': type },
  body: JSON.stringify({ __type: type, message })
})

const sha256 = (text: string | Buffer) => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()

const AUTHORIZATION = new RegExp(
  '^AWS4-HMAC-SHA256 Credential=([^/]+)/(\\d{8}/[^/]+/kms/aws4_request), ?' +
    'SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$'
)

/** Checks the signature and its time. Returns undefined if they are valid. */
function signatureFault(request: FakeRequest, accessKeyId: string, secret: string): FakeResponse | undefined {
  const parts = AUTHORIZATION.exec(request.headers.authorization ?? '')
  if (!parts) return refusal('IncompleteSignatureException')
  const [, id, scope = '', names = '', signature] = parts
  if (id !== accessKeyId) {
    return refusal('UnrecognizedClientException', 'The security token included in the request is invalid.')
  }
  const [date = '', region] = scope.split('/')
  const time = String(request.headers['x-amz-date'])
  const iso = time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z')
  if (!(Math.abs(Date.now() - Date.parse(iso)) < MAX_CLOCK_SKEW_MS) || !time.startsWith(date)) {
    return refusal('InvalidSignatureException', `Signature expired: ${time}`)
  }
  const signed = names.split(';')
  const needed = ['host', ...Object.keys(request.headers).filter((name) => name.startsWith('x-amz-'))]
  if (!needed.every((name) => signed.includes(name)) || region !== REGION) {
    return refusal('InvalidSignatureException', 'a header that has to be signed is not')
  }
  const [path, query = ''] = request.url.split('?')
  const lines = signed.map((name) => `${name}:${String(request.headers[name]).trim()}\n`).join('')
  const canonical = [request.method, path, query, lines, names, sha256(request.body)].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')
  const key = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${secret}`)
  return hmac(key, toSign).toString('hex') === signature
    ? undefined
    : refusal('InvalidSignatureException', 'The request signature we calculated does not match.')
}
