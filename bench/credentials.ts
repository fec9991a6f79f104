import type { Random } from './random.ts'

/** A template for credentials of one built-in type. */
interface Kind {
  typeName: string
  /** Values by field name. */
  values(random: Random): Record<string, unknown>
  /** The field that an update changes. */
  secret: string
}

/** The ids of a built-in type and its fields. */
export interface TypeIds {
  id: string
  /** Field ids by field name. */
  fields: Record<string, string>
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

export function randomText(random: Random, length: number): string {
  let text = ''
  while (text.length < length) text += LETTERS[Math.floor(random() * LETTERS.length)]
  return text
}

const oneSecret = (typeName: string, secret: string): Kind => ({
  typeName,
  secret,
  values: (random) => ({ [secret]: `sk_live_${randomText(random, 32)}` })
})

const oauth: Kind = {
  typeName: 'oauth2-client-credentials',
  secret: 'clientSecret',
  values: (random) => ({
    tokenUrl: 'https://login.example.org/oauth/token',
    clientId: randomText(random, 20),
    clientSecret: randomText(random, 40),
    scope: 'read write'
  })
}

const smtp: Kind = {
  typeName: 'smtp',
  secret: 'password',
  values: (random) => ({
    host: 'smtp.example.org',
    port: 587,
    secure: false,
    user: randomText(random, 12),
    password: randomText(random, 24),
    from: 'reports@example.org'
  })
}

const basic: Kind = {
  typeName: 'basic-auth',
  secret: 'password',
  values: (random) => ({
    username: randomText(random, 10),
    password: randomText(random, 24),
    baseUrl: 'https://api.example.org/v1'
  })
}

/** A JSON object of 2 KB. */
const raw: Kind = {
  typeName: 'raw',
  secret: 'body',
  values: (random) => ({
    body: Object.fromEntries(Array.from({ length: 24 }, (_, i) => [`setting_${i}`, randomText(random, 64)]))
  })
}

/** A PEM text as long as a 2,048-bit RSA key. */
const pem: Kind = {
  typeName: 'ssh-key',
  secret: 'privateKey',
  values: (random) => {
    const lines = Array.from({ length: 25 }, () => randomText(random, 64))
    return {
      username: 'deploy',
      privateKey: ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n')
    }
  }
}

/** A third have one secret, a third three to six fields, and a third 2 KB of JSON or a key. */
const KINDS: readonly Kind[] = [
  oneSecret('api-key', 'apiKey'),
  oauth,
  raw,
  oneSecret('bearer-token', 'token'),
  smtp,
  pem,
  oneSecret('github-token', 'token'),
  basic,
  raw,
  oneSecret('openai', 'apiKey'),
  oauth,
  pem
]

export const TYPE_NAMES = [...new Set(KINDS.map(({ typeName }) => typeName))]

export type Types = Record<string, TypeIds>

/** The body to create the owner's credential number `index`. */
export function newCredential(types: Types, index: number, name: string, random: Random) {
  const kind = KINDS[index % KINDS.length]!
  const { id, fields } = types[kind.typeName]!
  return {
    credentialName: name,
    credentialTypeId: id,
    description: `For the ${wordOf(random)} report`,
    keys: Object.entries(kind.values(random)).map(([field, keyValue]) => ({
      fieldId: fields[field],
      keyValue
    }))
  }
}

/** The `keys` of an update of the secret of the credential number `index`. */
export function newSecret(types: Types, index: number, random: Random) {
  const { typeName, secret, values } = KINDS[index % KINDS.length]!
  return [{ fieldId: types[typeName]!.fields[secret], keyValue: values(random)[secret] }]
}

export const WORDS = [
  'account alerts analytics api archive backup billing bot build cache calendar chat cluster',
  'contacts crm customer data deploy dev email events export finance forms gateway import internal',
  'invoice jobs legacy logs mail main metrics mobile monitor orders partner payroll payments prod',
  'queue reports sales search shop staging storage support sync'
].flatMap((line) => line.split(' '))

const wordOf = (random: Random) => WORDS[Math.floor(random() * WORDS.length)]!

/** Two of the fifty words, and `unique`, which makes the name unique. */
export function newName(random: Random, unique: string | number): string {
  return `${wordOf(random)} ${wordOf(random)} ${unique}`
}
