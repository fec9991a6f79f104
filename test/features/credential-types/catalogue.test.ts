import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RE2JS } from 're2js'
import t from 'tap'
import { builtInTypesPage } from '../../../scripts/built-in-types.ts'
import {
  type BuiltInField,
  catalogue,
  EXTRA_FIELD_IDS
} from '../../../src/features/credential-types/catalogue.ts'

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

// Stored credentials refer to these ids, so they must not change.
const frozen = {
  raw: '01a2004e-19f7-72a7-9967-38418053bd0a',
  'raw.body': '01a2004e-19f8-72b9-8573-d04ad0f87a71',
  'api-key': '01a2004e-19f9-7b44-919d-cd5a53b044e6',
  'api-key.apiKey': '01a2004e-19fa-765c-8d29-5983b2e57721',
  'api-key.baseUrl': '01a2004e-19fb-7f32-9505-297ad3053f86',
  'bearer-token': '01a2004e-19fc-77eb-829d-a6adb344925b',
  'bearer-token.token': '01a2004e-19fd-7ee9-a867-0e0602fa0ffa',
  'bearer-token.baseUrl': '01a2004e-19fe-72de-8ef3-6e9002a0a382',
  'basic-auth': '01a2004e-19ff-7d85-afc2-d2c2ed0effb6',
  'basic-auth.username': '01a2004e-1a00-7d5a-ac00-4d015165ae32',
  'basic-auth.password': '01a2004e-1a01-78d0-919c-6c18cb7f3845',
  'basic-auth.baseUrl': '01a2004e-1a02-7255-a402-1650a166c4b7',
  'http-header': '01a2004e-1a03-73ff-a7ae-4c772a38f2bb',
  'http-header.headerName': '01a2004e-1a04-7586-9981-5dcb52e11de2',
  'http-header.headerValue': '01a2004e-1a05-7343-83e9-99386342ff5f',
  'http-header.baseUrl': '01a2004e-1a06-7576-b730-02a473287a1c',
  'oauth2-client-credentials': '01a2004e-1a07-7c93-b221-2206b761a5c5',
  'oauth2-client-credentials.tokenUrl': '01a2004e-1a08-7673-bf62-df493ef70875',
  'oauth2-client-credentials.clientId': '01a2004e-1a09-7f64-9f3b-f1247de2ffce',
  'oauth2-client-credentials.clientSecret': '01a2004e-1a0a-767c-9eb2-e69dde756b0f',
  'oauth2-client-credentials.scope': '01a2004e-1a0b-722b-8cb6-cfa4ab1ee697',
  'oauth2-client-credentials.audience': '01a2004e-1a0c-72f8-99d4-e5e3fe05123d',
  'oauth2-client-credentials.authMethod': '01a2004e-1a0d-7587-8eb8-e10f656945e5',
  postgresql: '01a2004e-1a0e-75bb-a9b9-b8aa5a48db87',
  'postgresql.host': '01a2004e-1a0f-7fb4-b678-4f77d73c32e0',
  'postgresql.port': '01a2004e-1a10-728f-9b37-7850c211ad31',
  'postgresql.database': '01a2004e-1a11-7771-b2f7-287e152b3d65',
  'postgresql.user': '01a2004e-1a12-7bdc-b5fb-056461b5c35e',
  'postgresql.password': '01a2004e-1a13-79db-bb02-7283e7c3af49',
  'postgresql.ssl': '01a2004e-1a14-70a7-b560-e3d12127588f',
  'postgresql.allowSelfSignedCert': '01a2004e-1a15-790d-b205-0f54e0dad8f7',
  mysql: '01a2004e-1a16-77ec-b2af-fb035a6591b0',
  'mysql.host': '01a2004e-1a17-7953-a731-7017667d4f99',
  'mysql.port': '01a2004e-1a18-7425-9775-312980ffc69e',
  'mysql.database': '01a2004e-1a19-7239-82d3-6d607366873f',
  'mysql.user': '01a2004e-1a1a-742a-83c9-46679d9bdd5d',
  'mysql.password': '01a2004e-1a1b-7210-ae6e-f976cacefa20',
  'mysql.ssl': '01a2004e-1a1c-739a-9f0b-5fcbc1e7ebd7',
  mongodb: '01a2004e-1a1d-7fa4-98a4-a9c5b8e754a1',
  'mongodb.clusterUrl': '01a2004e-1a1e-7b10-9485-4c3489f24fe3',
  'mongodb.username': '01a2004e-1a1f-702a-be6e-82c7f577d3ec',
  'mongodb.password': '01a2004e-1a20-708d-9d84-fc2d01b4f3ab',
  'mongodb.database': '01a2004e-1a21-7886-aeb1-28834d4c108b',
  redis: '01a2004e-1a22-78b5-af33-c63a6a47e879',
  'redis.host': '01a2004e-1a23-7828-b33f-19cf0bfcdc77',
  'redis.port': '01a2004e-1a24-7cea-8328-ae08d51ca8c8',
  'redis.username': '01a2004e-1a25-7f2b-91e1-c1baf587a6f5',
  'redis.password': '01a2004e-1a26-7a6e-aa80-ff2cc7c7f67d',
  'redis.database': '01a2004e-1a27-79a9-a149-051639dee867',
  'redis.tls': '01a2004e-1a28-7587-959f-04bb0f17df42',
  amqp: '01a2004e-1a29-7c03-809b-a66ddd8cafe8',
  'amqp.url': '01a2004e-1a2a-75b6-a3a0-0d003fe3c1a7',
  smtp: '01a2004e-1a2b-77e8-8c62-689429088471',
  'smtp.host': '01a2004e-1a2c-7b01-8339-eea64df267a1',
  'smtp.port': '01a2004e-1a2d-778e-b9f1-1760129344e6',
  'smtp.secure': '01a2004e-1a2e-77f9-99c2-7d27c0e2111c',
  'smtp.user': '01a2004e-1a2f-79d8-b349-82e9b0f7b4c7',
  'smtp.password': '01a2004e-1a30-763e-90dc-7dab47100d65',
  'smtp.from': '01a2004e-1a31-78b2-b590-e34a458e0226',
  'ssh-key': '01a2004e-1a32-748e-9d20-d91d02325393',
  'ssh-key.username': '01a2004e-1a33-76f5-baf0-acf790f84299',
  'ssh-key.privateKey': '01a2004e-1a34-7242-812e-d0faf55961f8',
  'ssh-key.passphrase': '01a2004e-1a35-7778-9984-01b24b806f21',
  'ssh-key.publicKey': '01a2004e-1a36-7a3f-9df2-849c9c177164',
  'ssh-key.host': '01a2004e-1a37-7675-953c-5eb4b01c3036',
  'ssh-key.port': '01a2004e-1a38-77df-b6a1-aeb800f3f35f',
  'aws-access-key': '01a2004e-1a39-7682-affd-a4bfa1bac1ea',
  'aws-access-key.accessKeyId': '01a2004e-1a3a-784c-bfd2-dbed4459457e',
  'aws-access-key.secretAccessKey': '01a2004e-1a3b-716e-9da1-71142dea04a1',
  'aws-access-key.sessionToken': '01a2004e-1a3c-72f9-bd1b-9317511af948',
  'aws-access-key.region': '01a2004e-1a3d-79bf-9f04-179fd66b52e0',
  's3-bucket': '01a2004e-1a3e-7676-aa49-aec3d361ded4',
  's3-bucket.bucket': '01a2004e-1a3f-737f-9a41-29057f1eeb46',
  's3-bucket.region': '01a2004e-1a40-7317-a990-45b4615e3694',
  's3-bucket.endpoint': '01a2004e-1a41-79f1-a811-50f473dbb6f6',
  's3-bucket.forcePathStyle': '01a2004e-1a42-7f80-8af0-b3710fc5719a',
  's3-bucket.accessKeyId': '01a2004e-1a43-7b0f-bb15-455e28a115f0',
  's3-bucket.secretAccessKey': '01a2004e-1a44-71cb-bb85-03e103cd0aaf',
  'gcp-service-account': '01a2004e-1a45-7643-82bc-7d5453c617cd',
  'gcp-service-account.credentials': '01a2004e-1a46-73fc-8e6f-feb07b4f723d',
  'gcp-service-account.projectId': '01a2004e-1a47-7ce7-aa3e-900bba612960',
  'azure-client-secret': '01a2004e-1a48-7e93-9154-faed08711f91',
  'azure-client-secret.tenantId': '01a2004e-1a49-7593-b701-d350279d1393',
  'azure-client-secret.clientId': '01a2004e-1a4a-780c-8f53-afffa8e70e93',
  'azure-client-secret.clientSecret': '01a2004e-1a4b-7842-823e-ca228ed8f506',
  'github-token': '01a2004e-1a4c-76c9-89e9-6a195dd21560',
  'github-token.token': '01a2004e-1a4d-7b52-8d32-38b4a90a669d',
  'github-token.baseUrl': '01a2004e-1a4e-75cf-b082-2c17b4d24490',
  'gitlab-token': '01a2004e-1a4f-784a-9299-e9ade80f0ee4',
  'gitlab-token.token': '01a2004e-1a50-7151-8db1-68d3f61837c0',
  'gitlab-token.baseUrl': '01a2004e-1a51-7f16-b860-ff5ee4470da9',
  'slack-token': '01a2004e-1a52-71d9-8065-e19b96498e29',
  'slack-token.token': '01a2004e-1a53-76f0-bfdf-6d6630012e1b',
  'slack-token.signingSecret': '01a2004e-1a54-73fd-b17d-fc306faf573c',
  openai: '01a2004e-1a55-7e6c-aa18-f5e4ff469907',
  'openai.apiKey': '01a2004e-1a56-7c2b-9296-6a627c8d619e',
  'openai.organization': '01a2004e-1a57-7abd-ab23-207170ac596e',
  'openai.project': '01a2004e-1a58-7588-bc08-dc27dbd09214',
  'openai.baseURL': '01a2004e-1a59-712f-a8d6-07b630059e98',
  anthropic: '01a2004e-1a5a-7e69-9edf-a92b42142856',
  'anthropic.apiKey': '01a2004e-1a5b-7664-9695-e5962576a586',
  'anthropic.baseURL': '01a2004e-1a5c-7266-acf2-bebde8f61039',
  stripe: '01a2004e-1a5d-7bd2-90d6-ed150deca802',
  'stripe.secretKey': '01a2004e-1a5e-7869-8944-a6a2dc9efd38',
  'stripe.publishableKey': '01a2004e-1a5f-7b1d-9bca-121655ef6453',
  'stripe.webhookSecret': '01a2004e-1a60-75dd-bf9a-55767038a8bc',
  twilio: '01a2004e-1a61-768c-85e6-12b141d3e9bb',
  'twilio.accountSid': '01a2004e-1a62-7852-b79f-cbd3678331b3',
  'twilio.authToken': '01a2004e-1a63-7e1c-bee6-b1ad5684d7da',
  sendgrid: '01a2004e-1a64-719a-9510-b69ba8443f8a',
  'sendgrid.apiKey': '01a2004e-1a65-7623-a3f1-b630602503ef',
  'sendgrid.fromEmail': '01a2004e-1a66-7d49-a80f-68f6cbd7b2b9',
  dhis2: '01a2004e-1a67-735d-81c9-30edbcb87678',
  'dhis2.hostUrl': '01a2004e-1a68-7ed0-ab79-74b51274f2b7',
  'dhis2.username': '01a2004e-1a69-7928-87dc-40266cad51e4',
  'dhis2.password': '01a2004e-1a6a-7d64-b5a3-fa4a5202d9de',
  'dhis2.pat': '01a2004e-1a6b-7904-90f7-4d9b0f6dde6c',
  'dhis2.apiVersion': '01a2004e-1a6c-7105-989d-0b48faf28375',
  oauth: '01a22210-29d7-7393-96fe-b28c56dd983a',
  'oauth.access_token': '01a22210-29da-71cf-8f7e-90c8843ccb1b',
  'oauth.refresh_token': '01a22210-29dd-75a8-9ada-63b0001ebcad',
  'oauth.token_type': '01a22210-29df-71ca-8988-52119c155e2e',
  'oauth.scope': '01a22210-29e1-755e-85c4-14b97a3d7941',
  'oauth.expires_at': '01a22210-29e2-745d-b661-b69150137f03',
  'oauth.instance_url': '01a22210-29e4-7659-a372-8a107adfb88c',
  'oauth.extra': '01a22210-29e7-77c5-ad87-cd24a463f550',
  http: '01a22210-29e9-7215-b70f-90c6badcca28',
  'http.baseUrl': '01a22210-29eb-7348-b252-9d4c905df6ee',
  'http.username': '01a22210-29ed-7060-9f1f-5b9236f67251',
  'http.password': '01a22210-29f0-70a6-a40b-b7a291f5607e',
  'http.access_token': '01a22210-29f2-761d-a2ef-ce0dd8c76adf',
  'http.tls': '01a22210-29f4-7769-941e-8aa317a2e921',
  'http.extra': '01a22210-29f6-7676-99fd-ff9e207149c2',
  'tls-client-certificate': '01a22210-29f8-73d9-9308-f6f4bb5dc31d',
  'tls-client-certificate.cert': '01a22210-29fa-7783-a4ef-2646ecd9ab23',
  'tls-client-certificate.key': '01a22210-29fd-778c-bc4d-23606b42c2e1',
  'tls-client-certificate.pfx': '01a22210-29ff-7406-b39c-6d4133f289fd',
  'tls-client-certificate.passphrase': '01a22210-2a01-7714-be02-ea01137c6fab',
  'tls-client-certificate.ca': '01a22210-2a03-74ee-bd47-bcb0f650b531',
  'postgresql.ca': '01a22210-2a05-7342-9a07-13db0b7f3c2f',
  'postgresql.cert': '01a22210-2a07-74d1-9ae8-f10d4666a37c',
  'postgresql.key': '01a22210-2a09-7318-9994-92d5078a3a71',
  'postgresql.extra': '01a22210-2a0c-76b4-a04a-e840a9562181',
  'mysql.extra': '01a22210-2a0e-7666-b9e5-31332a5fae30',
  'mongodb.clusterHostname': '01a22210-2a10-76b5-b858-482b9abb70c2',
  'mongodb.protocol': '01a22210-2a12-7117-8961-23ef8f844768',
  'mongodb.options': '01a22210-2a15-7342-bf2b-ff54b98556bf',
  'mongodb.extra': '01a22210-2a17-70a6-9221-a27f7c6152b9',
  'redis.extra': '01a22210-2a19-7436-8c55-2c23d3efc2b2',
  jdbc: '01a22210-2a1b-732c-9400-5f9e907fad8b',
  'jdbc.url': '01a22210-2a1d-76fb-860e-649f3c155591',
  'jdbc.user': '01a22210-2a20-7769-a50f-223e60ea4029',
  'jdbc.password': '01a22210-2a22-70e9-a11b-b5a2d33cb2a2',
  'jdbc.driver': '01a22210-2a24-714d-a8a3-ea86c3286e2d',
  'jdbc.properties': '01a22210-2a26-7345-8402-7c7c1bdf83b6',
  'azure-client-certificate': '01a22210-2a28-7609-8b76-6f4ab6c4019f',
  'azure-client-certificate.tenantId': '01a22210-2a2b-71c6-8e10-451ebae59508',
  'azure-client-certificate.clientId': '01a22210-2a2d-70a8-ae7e-7d6d75d011b9',
  'azure-client-certificate.certificate': '01a22210-2a2f-7028-bdbb-4f86114a66b3',
  'azure-client-certificate.certificatePassword': '01a22210-2a31-74b6-bb93-f25a7e829917',
  kubeconfig: '01a22210-2a33-71b5-a7c4-ed82ad7bb198',
  'kubeconfig.kubeconfig': '01a22210-2a35-76e8-a3c8-387cecbde7a7',
  'kubeconfig.context': '01a22210-2a37-747c-8131-a91f2d5942c0',
  'kubeconfig.namespace': '01a22210-2a3a-73be-92eb-e83b3101929b',
  'github-app': '01a22210-2a3c-779b-95fd-ebb757b8917c',
  'github-app.appId': '01a22210-2a3e-7613-85ff-1381361fd030',
  'github-app.privateKey': '01a22210-2a40-723b-9071-b416b5c92152',
  'github-app.installationId': '01a22210-2a42-7002-ad36-b0f6dd36208e',
  'github-app.clientId': '01a22210-2a44-7347-9fd7-403d6586b371',
  'github-app.clientSecret': '01a22210-2a46-716d-95e1-5d4db80ef5df',
  'github-app.webhookSecret': '01a22210-2a49-7195-8fe9-b2d19e7bb5d4',
  'github-app.baseUrl': '01a22210-2a4b-74eb-b6fd-c08d55855288',
  'stripe.apiKey': '01a22210-2a4d-74a2-bacc-270bd4834c62',
  'stripe.baseUrl': '01a22210-2a4f-7380-a1bb-f9efc322938d',
  'stripe.apiVersion': '01a22210-2a50-73a6-b397-04f9d37c57df',
  'stripe.extra': '01a22210-2a52-721b-96f1-32618271ded6',
  'twilio.apiKeySid': '01a22210-2a54-71d5-a5cc-d7c806c272df',
  'twilio.apiKeySecret': '01a22210-2a57-7749-a1de-22c1e4f89d66',
  'twilio.extra': '01a22210-2a59-72eb-bfad-37671c2cb29e',
  'dhis2.extra': '01a22210-2a5b-77e4-a6e5-a94749364682'
}

/** The ids of types and fields, by name: `postgresql`, `postgresql.host`, … */
const ids = catalogue.flatMap((type) => [
  [type.typeName, type.id] as const,
  ...type.fields.map((field) => [`${type.typeName}.${field.fieldName}`, field.id] as const)
])

const fields = catalogue.flatMap((type) =>
  type.fields.map((field) => ({ path: `${type.typeName}.${field.fieldName}`, field }))
)

const unique = (values: readonly string[]) => new Set(values).size === values.length

function fits({ fieldType, defaultValue, options }: BuiltInField) {
  if (fieldType === 'number') return Number.isFinite(defaultValue)
  if (fieldType === 'boolean') return typeof defaultValue === 'boolean'
  if (typeof defaultValue !== 'string' || defaultValue === '') return false
  if (fieldType === 'url') return URL.canParse(defaultValue)
  if (fieldType === 'email') return /^[^@\s]+@[^@\s]+$/.test(defaultValue)
  if (fieldType === 'select') return options?.includes(defaultValue) === true
  return true
}

t.test('the catalogue has the types of the contract', async (t) => {
  t.ok(catalogue.length >= 26, 'the catalogue is not empty')
  t.match(
    catalogue.find((type) => type.typeName === 'raw')?.fields,
    [{ fieldName: 'body', fieldType: 'json', required: true, secret: true }],
    'raw is one secret body'
  )
  t.equal(catalogue.find((type) => type.typeName === 'raw')?.fields.length, 1)
})

t.test('ids and names are well formed and unique', async (t) => {
  t.ok(unique(ids.map(([, id]) => id)), 'no id occurs twice, in types and fields together')
  for (const [name, id] of ids) t.match(id, UUID_V7, name)
  t.ok(unique(catalogue.map((type) => type.typeName.toLowerCase())), 'no type name occurs twice')
  for (const type of catalogue) {
    t.match(type.typeName, /^[a-z0-9]+(-[a-z0-9]+)*$/, type.typeName)
    t.ok(type.description.length > 0 && type.description.length <= 2000, `${type.typeName} is described`)
    t.ok(type.fields.length > 0 && type.fields.length <= 64, `${type.typeName} has fields`)
    t.ok(
      type.fields.some((field) => field.secret),
      `${type.typeName} has a secret field`
    )
    t.ok(unique(type.fields.map((field) => field.fieldName)), `${type.typeName} has no field twice`)
  }
  for (const { path, field } of fields) {
    t.match(field.fieldName, /^[a-zA-Z][a-zA-Z0-9_]{0,63}$/, path)
    t.ok(field.fieldLabel.trim().length > 0, `${path} has a label`)
  }
})

t.test('built-in types are smaller than the limit for types of users', async (t) => {
  for (const { typeName, fields } of catalogue)
    t.ok(JSON.stringify(fields).length < 12 * 1024, `${typeName}: ${JSON.stringify(fields).length} bytes`)
})

t.test('defaults, options and patterns fit their field', async (t) => {
  for (const { path, field } of fields) {
    if (field.fieldType === 'select') {
      t.ok(field.options && field.options.length > 1 && unique(field.options), `${path} has options`)
    } else {
      t.equal(field.options, null, `${path} has no options`)
    }
    if (field.defaultValue !== null) {
      t.ok(fits(field), `${path}: default of the field's type`)
      t.notOk(field.secret, `${path}: a secret field has no default`)
    }
    if (field.pattern !== null) {
      t.match(field.pattern, /^\^.*\$$/, `${path}: the pattern is anchored`)
      const pattern = RE2JS.compile(field.pattern)
      if (field.defaultValue !== null)
        t.ok(pattern.matches(String(field.defaultValue)), `${path}: default matches`)
    }
  }
})

t.test('every field that may hold a secret is secret', async (t) => {
  // Named like secrets, but public: public keys and certificates.
  const open = new Set([
    'ssh-key.publicKey',
    'stripe.publishableKey',
    'postgresql.ca',
    'tls-client-certificate.ca'
  ])
  const telling = /password|passphrase|secret|token|key|credential|body|headerValue|^pat$/i
  for (const { path, field } of fields) {
    if (['password', 'json'].includes(field.fieldType)) t.ok(field.secret, `${path} by its type`)
    if (field.fieldType === 'multiline' && !open.has(path)) t.ok(field.secret, `${path} by its type`)
    if (
      /(Id|Sid|Url|URL|_url|token_type)$/.test(field.fieldName) ||
      ['url', 'email'].includes(field.fieldType)
    )
      continue
    if (telling.test(field.fieldName) && !open.has(path)) t.ok(field.secret, `${path} by its name`)
  }
  for (const path of open)
    t.ok(
      fields.some((field) => field.path === path && !field.field.secret),
      `${path} exists`
    )
  for (const path of ['mongodb.clusterUrl', 'amqp.url', 'jdbc.url']) {
    t.ok(fields.find((field) => field.path === path)?.field.secret, `${path} may hold a password`)
  }
})

t.test('ids never change, and every id is frozen here', async (t) => {
  t.strictSame(Object.fromEntries(ids), frozen, 'add new ids; never change a line')
})

t.test('types that Lightning also has accept additional properties', async (t) => {
  const types = catalogue.filter(({ fields }) => fields.some(({ id }) => EXTRA_FIELD_IDS.has(id)))
  t.same(types.map((type) => type.typeName).sort(), [
    'dhis2',
    'http',
    'mongodb',
    'mysql',
    'oauth',
    'postgresql',
    'redis',
    'stripe',
    'twilio'
  ])
  t.equal(EXTRA_FIELD_IDS.size, types.length, 'one field for each type')
  for (const { typeName, fields } of types)
    t.match(fields.at(-1), { fieldType: 'json', required: false, secret: true }, typeName)
})

t.test('docs/reference/built-in-types.md is current', async (t) => {
  const page = join(import.meta.dirname, '../../../docs/reference/built-in-types.md')
  t.equal(await readFile(page, 'utf8'), builtInTypesPage(), 'run `npm run built-in-types`, read the diff')
})
