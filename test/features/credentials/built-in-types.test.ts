import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { reveal } from '../../helpers/fixtures.ts'

const pem = (what: string) => `-----BEGIN ${what}-----\nMIIB\n-----END ${what}-----\n`

/** Values as for real services, by type. */
const CREDENTIALS: Record<string, Record<string, unknown>[]> = {
  redis: [
    { host: 'cache', tls: false },
    { host: 'cache', password: 'p' }
  ],
  postgresql: [
    { host: 'db', database: 'd' },
    { host: '/var/run/postgresql', database: 'd', user: 'peer' },
    {
      host: 'db',
      database: 'd',
      user: 'u',
      ca: pem('CERTIFICATE'),
      cert: pem('CERTIFICATE'),
      key: pem('KEY')
    }
  ],
  mysql: [{ host: 'db', database: 'd', user: 'iam-user' }],
  mongodb: [
    { clusterUrl: 'mongodb://localhost:27017/?replicaSet=rs0' },
    {
      clusterHostname: 'c0.example.mongodb.net',
      protocol: 'mongodb+srv',
      username: 'u',
      password: 'p',
      options: { retryWrites: true, w: 'majority' }
    }
  ],
  jdbc: [
    { url: 'jdbc:sqlserver://h:1433;databaseName=sales;encrypt=true', user: 'u', password: 'p' },
    {
      url: 'jdbc:oracle:thin:scott/tiger@//h:1521/x',
      driver: 'oracle.jdbc.OracleDriver',
      properties: { a: '1' }
    }
  ],
  smtp: [
    { host: 'relay', port: 25 },
    { host: 'relay', from: 'Reports <reports@example.org>' },
    { host: 'relay', from: 'reports@example.org' }
  ],
  'basic-auth': [{ username: 'sk_live_1' }, { password: 'only a key' }],
  stripe: [{ secretKey: 'sk_1' }, { apiKey: 'rk_1', baseUrl: 'https://api.stripe.com', apiVersion: 'v1' }],
  twilio: [
    { accountSid: 'AC1', authToken: 't' },
    { accountSid: 'AC1', apiKeySid: 'SK1', apiKeySecret: 's' }
  ],
  'azure-client-certificate': [
    { tenantId: 't', clientId: 'c', certificate: pem('CERTIFICATE') + pem('PRIVATE KEY') },
    { tenantId: 't', clientId: 'c', certificate: 'MIIKYQIBAzCC', certificatePassword: 'p' }
  ],
  'tls-client-certificate': [
    { cert: pem('CERTIFICATE'), key: pem('ENCRYPTED PRIVATE KEY'), passphrase: 'p', ca: pem('CERTIFICATE') },
    { pfx: 'MIIKYQIBAzCC', passphrase: 'p' }
  ],
  kubeconfig: [
    { kubeconfig: 'apiVersion: v1\nkind: Config\nclusters: []\n', context: 'prod', namespace: 'n' }
  ],
  'github-app': [
    { appId: '12345', privateKey: pem('RSA PRIVATE KEY'), installationId: '678', webhookSecret: 'w' }
  ],
  http: [
    { baseUrl: 'https://api.example.org', username: 'u', password: 'p', tls: { cert: pem('CERTIFICATE') } },
    { access_token: 't' }
  ],
  oauth: [
    { access_token: 'a', refresh_token: 'r', token_type: 'Bearer', scope: 'read', expires_at: 1_767_225_600 },
    { access_token: 'a', expires_at: '2026-01-01T00:00:00Z', instance_url: 'https://eu1.example.org' }
  ]
}

t.test('built-in types accept the values of real services, and reveal returns them', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const { data } = (await ann.get('/api/v1/credential-types?pageSize=100')).json
  for (const [typeName, credentials] of Object.entries(CREDENTIALS)) {
    const type = data.find((one: { typeName: string }) => one.typeName === typeName)
    for (const [index, values] of credentials.entries()) {
      const keys = Object.entries(values).map(([fieldName, keyValue]) => ({
        fieldId: type?.fields.find((field: { fieldName: string }) => field.fieldName === fieldName)?.id,
        keyValue
      }))
      const body = { credentialName: `${typeName} ${index}`, credentialTypeId: type?.id, keys }
      const made = await ann.post('/api/v1/app-credentials', body)
      t.equal(made.status, 201, `${typeName} ${index}: ${made.text}`)
      if (made.status !== 201) continue
      const defaults = type.fields.flatMap(({ fieldName, defaultValue }: Record<string, string>) =>
        defaultValue === undefined ? [] : [[fieldName, defaultValue]]
      )
      t.same(await reveal(ann, made.json.id), { ...Object.fromEntries(defaults), ...values })
    }
  }
})
