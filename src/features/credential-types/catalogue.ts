import type { FieldConstraints, FieldType } from '../../db/tables.ts'

/** One field of a built-in type. A property that the field does not have is null. */
export interface BuiltInField {
  id: string
  fieldName: string
  fieldLabel: string
  fieldType: FieldType
  required: boolean
  secret: boolean
  description: string | null
  defaultValue: string | number | boolean | null
  options: string[] | null
  pattern: string | null
  constraints: FieldConstraints | null
}

export interface BuiltInType {
  id: string
  typeName: string
  description: string
  fields: BuiltInField[]
}

type Rest = Partial<
  Pick<BuiltInField, 'description' | 'defaultValue' | 'options' | 'pattern' | 'constraints'>
>

function helper(fieldType: FieldType, secret: boolean) {
  return (id: string, fieldName: string, fieldLabel: string, rest: Rest = {}): BuiltInField => ({
    id,
    fieldName,
    fieldLabel,
    fieldType,
    required: true,
    secret,
    description: null,
    defaultValue: null,
    options: null,
    pattern: null,
    constraints: null,
    ...rest
  })
}

// Each helper fixes the field type and whether the field is secret.
const open = helper('text', false)
const openText = helper('multiline', false)
const url = helper('url', false)
const email = helper('email', false)
const number = helper('number', false)
const boolean = helper('boolean', false)
const select = helper('select', false)
const password = helper('password', true)
const file = helper('multiline', true)
const json = helper('json', true)

const optional = (field: BuiltInField): BuiltInField => ({ ...field, required: false })

const port = (id: string, defaultValue: number) =>
  optional(
    number(id, 'port', 'Port', { defaultValue, constraints: { integer: true, minimum: 1, maximum: 65_535 } })
  )

/** Holds the properties that Lightning clients send in addition to the fields of a type. */
const extra = (id: string) =>
  optional(
    json(id, 'extra', 'Additional properties', {
      description: 'Resolve returns its members like fields of the type',
      constraints: { shape: 'object' }
    })
  )

const flag = (id: string, fieldName: string, fieldLabel: string, defaultValue: boolean) =>
  optional(boolean(id, fieldName, fieldLabel, { defaultValue }))

function builtIn(id: string, typeName: string, description: string, fields: BuiltInField[]): BuiltInType {
  return { id, typeName, description, fields }
}

/** The built-in type for any JSON object, stored in its one field `body`. */
export const RAW_TYPE_ID = '01a2004e-19f7-72a7-9967-38418053bd0a'

/**
 * The credential types of every installation, in display order. An id is permanent and never reused, because
 * rows and ciphertexts refer to it. Field names follow the common SDKs and Lightning's schemas.
 */
export const catalogue: readonly BuiltInType[] = [
  builtIn(RAW_TYPE_ID, 'raw', 'Any JSON object', [
    json('01a2004e-19f8-72b9-8573-d04ad0f87a71', 'body', 'Body', { constraints: { shape: 'object' } })
  ]),

  builtIn('01a2004e-19f9-7b44-919d-cd5a53b044e6', 'api-key', 'API key for any service', [
    password('01a2004e-19fa-765c-8d29-5983b2e57721', 'apiKey', 'API key'),
    optional(url('01a2004e-19fb-7f32-9505-297ad3053f86', 'baseUrl', 'Base URL'))
  ]),
  builtIn('01a2004e-19fc-77eb-829d-a6adb344925b', 'bearer-token', 'Token sent as Authorization: Bearer', [
    password('01a2004e-19fd-7ee9-a867-0e0602fa0ffa', 'token', 'Token'),
    optional(url('01a2004e-19fe-72de-8ef3-6e9002a0a382', 'baseUrl', 'Base URL'))
  ]),
  builtIn('01a2004e-19ff-7d85-afc2-d2c2ed0effb6', 'basic-auth', 'User name and password', [
    optional(open('01a2004e-1a00-7d5a-ac00-4d015165ae32', 'username', 'User name')),
    optional(password('01a2004e-1a01-78d0-919c-6c18cb7f3845', 'password', 'Password')),
    optional(url('01a2004e-1a02-7255-a402-1650a166c4b7', 'baseUrl', 'Base URL'))
  ]),
  builtIn('01a2004e-1a03-73ff-a7ae-4c772a38f2bb', 'http-header', 'Secret sent in a custom HTTP header', [
    open('01a2004e-1a04-7586-9981-5dcb52e11de2', 'headerName', 'Header name', {
      defaultValue: 'X-API-Key',
      pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" // a token, RFC 9110, 5.6.2
    }),
    password('01a2004e-1a05-7343-83e9-99386342ff5f', 'headerValue', 'Header value'),
    optional(url('01a2004e-1a06-7576-b730-02a473287a1c', 'baseUrl', 'Base URL'))
  ]),
  builtIn(
    '01a2004e-1a07-7c93-b221-2206b761a5c5',
    'oauth2-client-credentials',
    'OAuth 2.0 client credentials',
    [
      url('01a2004e-1a08-7673-bf62-df493ef70875', 'tokenUrl', 'Token URL'),
      open('01a2004e-1a09-7f64-9f3b-f1247de2ffce', 'clientId', 'Client ID'),
      password('01a2004e-1a0a-767c-9eb2-e69dde756b0f', 'clientSecret', 'Client secret'),
      optional(open('01a2004e-1a0b-722b-8cb6-cfa4ab1ee697', 'scope', 'Scopes, separated by spaces')),
      optional(open('01a2004e-1a0c-72f8-99d4-e5e3fe05123d', 'audience', 'Audience')),
      optional(
        select('01a2004e-1a0d-7587-8eb8-e10f656945e5', 'authMethod', 'Client authentication', {
          description: 'How the client secret is sent to the token URL',
          defaultValue: 'client_secret_basic',
          options: ['client_secret_basic', 'client_secret_post']
        })
      )
    ]
  ),
  builtIn('01a22210-29d7-7393-96fe-b28c56dd983a', 'oauth', 'OAuth 2.0 access and refresh tokens', [
    optional(password('01a22210-29da-71cf-8f7e-90c8843ccb1b', 'access_token', 'Access token')),
    optional(password('01a22210-29dd-75a8-9ada-63b0001ebcad', 'refresh_token', 'Refresh token')),
    optional(open('01a22210-29df-71ca-8988-52119c155e2e', 'token_type', 'Token type')),
    optional(open('01a22210-29e1-755e-85c4-14b97a3d7941', 'scope', 'Scopes, separated by spaces')),
    optional(
      json('01a22210-29e2-745d-b661-b69150137f03', 'expires_at', 'Expiry of the access token', {
        description: 'Seconds since 1970-01-01 UTC, or a date and time'
      })
    ),
    optional(url('01a22210-29e4-7659-a372-8a107adfb88c', 'instance_url', 'URL of the service')),
    extra('01a22210-29e7-77c5-ad87-cd24a463f550')
  ]),
  builtIn('01a22210-29e9-7215-b70f-90c6badcca28', 'http', 'HTTP service', [
    optional(url('01a22210-29eb-7348-b252-9d4c905df6ee', 'baseUrl', 'Base URL')),
    optional(open('01a22210-29ed-7060-9f1f-5b9236f67251', 'username', 'User name')),
    optional(password('01a22210-29f0-70a6-a40b-b7a291f5607e', 'password', 'Password')),
    optional(
      password('01a22210-29f2-761d-a2ef-ce0dd8c76adf', 'access_token', 'Access token', {
        description: 'Sent as Authorization: Bearer, instead of user name and password'
      })
    ),
    optional(
      json('01a22210-29f4-7769-941e-8aa317a2e921', 'tls', 'TLS options', {
        constraints: { shape: 'object' },
        description: 'Options of tls.createSecureContext in Node.js, such as cert, key and ca'
      })
    ),
    extra('01a22210-29f6-7676-99fd-ff9e207149c2')
  ]),
  builtIn('01a22210-29f8-73d9-9308-f6f4bb5dc31d', 'tls-client-certificate', 'TLS client certificate', [
    optional(file('01a22210-29fa-7783-a4ef-2646ecd9ab23', 'cert', 'Certificate and its chain, in PEM')),
    optional(file('01a22210-29fd-778c-bc4d-23606b42c2e1', 'key', 'Private key, in PEM')),
    optional(
      file('01a22210-29ff-7406-b39c-6d4133f289fd', 'pfx', 'PKCS#12 file, in base64', {
        description: 'Instead of certificate and private key'
      })
    ),
    optional(password('01a22210-2a01-7714-be02-ea01137c6fab', 'passphrase', 'Passphrase of the private key')),
    optional(openText('01a22210-2a03-74ee-bd47-bcb0f650b531', 'ca', 'Trusted CA certificates, in PEM'))
  ]),

  builtIn('01a2004e-1a0e-75bb-a9b9-b8aa5a48db87', 'postgresql', 'PostgreSQL database', [
    open('01a2004e-1a0f-7fb4-b678-4f77d73c32e0', 'host', 'Host'),
    port('01a2004e-1a10-728f-9b37-7850c211ad31', 5432),
    open('01a2004e-1a11-7771-b2f7-287e152b3d65', 'database', 'Database'),
    optional(open('01a2004e-1a12-7bdc-b5fb-056461b5c35e', 'user', 'User name')),
    optional(password('01a2004e-1a13-79db-bb02-7283e7c3af49', 'password', 'Password')),
    flag('01a2004e-1a14-70a7-b560-e3d12127588f', 'ssl', 'Use TLS', true),
    flag(
      '01a2004e-1a15-790d-b205-0f54e0dad8f7',
      'allowSelfSignedCert',
      'Allow self-signed certificate',
      false
    ),
    optional(openText('01a22210-2a05-7342-9a07-13db0b7f3c2f', 'ca', 'CA certificate, in PEM')),
    optional(file('01a22210-2a07-74d1-9ae8-f10d4666a37c', 'cert', 'Client certificate, in PEM')),
    optional(
      file('01a22210-2a09-7318-9994-92d5078a3a71', 'key', 'Private key of the client certificate, in PEM')
    ),
    extra('01a22210-2a0c-76b4-a04a-e840a9562181')
  ]),
  builtIn('01a2004e-1a16-77ec-b2af-fb035a6591b0', 'mysql', 'MySQL or MariaDB database', [
    open('01a2004e-1a17-7953-a731-7017667d4f99', 'host', 'Host'),
    port('01a2004e-1a18-7425-9775-312980ffc69e', 3306),
    open('01a2004e-1a19-7239-82d3-6d607366873f', 'database', 'Database'),
    optional(open('01a2004e-1a1a-742a-83c9-46679d9bdd5d', 'user', 'User name')),
    optional(password('01a2004e-1a1b-7210-ae6e-f976cacefa20', 'password', 'Password')),
    flag('01a2004e-1a1c-739a-9f0b-5fcbc1e7ebd7', 'ssl', 'Use TLS', true),
    extra('01a22210-2a0e-7666-b9e5-31332a5fae30')
  ]),
  builtIn('01a2004e-1a1d-7fa4-98a4-a9c5b8e754a1', 'mongodb', 'MongoDB database or cluster', [
    // not a url field: it may contain a user name and password
    optional(
      password('01a2004e-1a1e-7b10-9485-4c3489f24fe3', 'clusterUrl', 'Connection string', {
        description: 'mongodb:// or mongodb+srv://, with or without user name and password'
      })
    ),
    optional(
      open('01a22210-2a10-76b5-b858-482b9abb70c2', 'clusterHostname', 'Cluster host names', {
        description: 'Instead of a connection string, for example cluster0.example.mongodb.net'
      })
    ),
    optional(
      select('01a22210-2a12-7117-8961-23ef8f844768', 'protocol', 'Protocol for the host names', {
        options: ['mongodb+srv', 'mongodb']
      })
    ),
    optional(open('01a2004e-1a1f-702a-be6e-82c7f577d3ec', 'username', 'User name')),
    optional(password('01a2004e-1a20-708d-9d84-fc2d01b4f3ab', 'password', 'Password')),
    optional(open('01a2004e-1a21-7886-aeb1-28834d4c108b', 'database', 'Database')),
    optional(
      json('01a22210-2a15-7342-bf2b-ff54b98556bf', 'options', 'Connection options', {
        constraints: { shape: 'object' },
        description: 'For example {"retryWrites": true, "w": "majority"}'
      })
    ),
    extra('01a22210-2a17-70a6-9221-a27f7c6152b9')
  ]),
  builtIn('01a2004e-1a22-78b5-af33-c63a6a47e879', 'redis', 'Redis or Valkey server', [
    open('01a2004e-1a23-7828-b33f-19cf0bfcdc77', 'host', 'Host'),
    port('01a2004e-1a24-7cea-8328-ae08d51ca8c8', 6379),
    optional(open('01a2004e-1a25-7f2b-91e1-c1baf587a6f5', 'username', 'User name')),
    optional(password('01a2004e-1a26-7a6e-aa80-ff2cc7c7f67d', 'password', 'Password')),
    optional(
      number('01a2004e-1a27-79a9-a149-051639dee867', 'database', 'Database number', { defaultValue: 0 })
    ),
    flag('01a2004e-1a28-7587-959f-04bb0f17df42', 'tls', 'Use TLS', true),
    extra('01a22210-2a19-7436-8c55-2c23d3efc2b2')
  ]),
  builtIn('01a22210-2a1b-732c-9400-5f9e907fad8b', 'jdbc', 'Database with a JDBC URL', [
    // not a url field: it may contain a user name and password
    password('01a22210-2a1d-76fb-860e-649f3c155591', 'url', 'JDBC URL', {
      description: 'For example jdbc:postgresql://db.example.org:5432/sales',
      pattern: '^jdbc:.+$'
    }),
    optional(open('01a22210-2a20-7769-a50f-223e60ea4029', 'user', 'User name')),
    optional(password('01a22210-2a22-70e9-a11b-b5a2d33cb2a2', 'password', 'Password')),
    optional(open('01a22210-2a24-714d-a8a3-ea86c3286e2d', 'driver', 'Driver class')),
    optional(
      json('01a22210-2a26-7345-8402-7c7c1bdf83b6', 'properties', 'Connection properties', {
        constraints: { shape: 'object' },
        description: 'Names and string values'
      })
    )
  ]),
  builtIn('01a2004e-1a29-7c03-809b-a66ddd8cafe8', 'amqp', 'AMQP broker, such as RabbitMQ', [
    // not a url field: it contains a user name and password
    password('01a2004e-1a2a-75b6-a3a0-0d003fe3c1a7', 'url', 'Connection string', {
      description: 'amqp:// or amqps://, with user name, password and virtual host'
    })
  ]),
  builtIn('01a2004e-1a2b-77e8-8c62-689429088471', 'smtp', 'SMTP server for outgoing mail', [
    open('01a2004e-1a2c-7b01-8339-eea64df267a1', 'host', 'Host'),
    port('01a2004e-1a2d-778e-b9f1-1760129344e6', 587),
    flag('01a2004e-1a2e-77f9-99c2-7d27c0e2111c', 'secure', 'Use implicit TLS instead of STARTTLS', false),
    optional(open('01a2004e-1a2f-79d8-b349-82e9b0f7b4c7', 'user', 'User name')),
    optional(password('01a2004e-1a30-763e-90dc-7dab47100d65', 'password', 'Password')),
    // not an email field: it may contain a name
    optional(
      open('01a2004e-1a31-78b2-b590-e34a458e0226', 'from', 'Sender', {
        description: 'For example Reports <reports@example.org>'
      })
    )
  ]),
  builtIn('01a2004e-1a32-748e-9d20-d91d02325393', 'ssh-key', 'SSH key pair', [
    open('01a2004e-1a33-76f5-baf0-acf790f84299', 'username', 'User name'),
    file('01a2004e-1a34-7242-812e-d0faf55961f8', 'privateKey', 'Private key'),
    optional(password('01a2004e-1a35-7778-9984-01b24b806f21', 'passphrase', 'Passphrase')),
    optional(openText('01a2004e-1a36-7a3f-9df2-849c9c177164', 'publicKey', 'Public key')),
    optional(open('01a2004e-1a37-7675-953c-5eb4b01c3036', 'host', 'Host')),
    port('01a2004e-1a38-77df-b6a1-aeb800f3f35f', 22)
  ]),

  builtIn('01a2004e-1a39-7682-affd-a4bfa1bac1ea', 'aws-access-key', 'AWS access key', [
    open('01a2004e-1a3a-784c-bfd2-dbed4459457e', 'accessKeyId', 'Access key ID'),
    password('01a2004e-1a3b-716e-9da1-71142dea04a1', 'secretAccessKey', 'Secret access key'),
    optional(password('01a2004e-1a3c-72f9-bd1b-9317511af948', 'sessionToken', 'Session token')),
    optional(open('01a2004e-1a3d-79bf-9f04-179fd66b52e0', 'region', 'Region'))
  ]),
  builtIn('01a2004e-1a3e-7676-aa49-aec3d361ded4', 's3-bucket', 'Bucket in Amazon S3 or a compatible store', [
    open('01a2004e-1a3f-737f-9a41-29057f1eeb46', 'bucket', 'Bucket'),
    optional(open('01a2004e-1a40-7317-a990-45b4615e3694', 'region', 'Region')),
    optional(url('01a2004e-1a41-79f1-a811-50f473dbb6f6', 'endpoint', 'Endpoint, if not Amazon S3')),
    flag('01a2004e-1a42-7f80-8af0-b3710fc5719a', 'forcePathStyle', 'Use path-style URLs', false),
    open('01a2004e-1a43-7b0f-bb15-455e28a115f0', 'accessKeyId', 'Access key ID'),
    password('01a2004e-1a44-71cb-bb85-03e103cd0aaf', 'secretAccessKey', 'Secret access key')
  ]),
  builtIn('01a2004e-1a45-7643-82bc-7d5453c617cd', 'gcp-service-account', 'Google Cloud service account', [
    json('01a2004e-1a46-73fc-8e6f-feb07b4f723d', 'credentials', 'Key file, as downloaded', {
      constraints: { shape: 'object-or-text' }
    }),
    optional(open('01a2004e-1a47-7ce7-aa3e-900bba612960', 'projectId', 'Project ID'))
  ]),
  builtIn('01a2004e-1a48-7e93-9154-faed08711f91', 'azure-client-secret', 'Microsoft Entra ID application', [
    open('01a2004e-1a49-7593-b701-d350279d1393', 'tenantId', 'Tenant ID'),
    open('01a2004e-1a4a-780c-8f53-afffa8e70e93', 'clientId', 'Client ID'),
    password('01a2004e-1a4b-7842-823e-ca228ed8f506', 'clientSecret', 'Client secret')
  ]),
  builtIn('01a22210-2a28-7609-8b76-6f4ab6c4019f', 'azure-client-certificate', 'Entra ID certificate', [
    open('01a22210-2a2b-71c6-8e10-451ebae59508', 'tenantId', 'Tenant ID'),
    open('01a22210-2a2d-70a8-ae7e-7d6d75d011b9', 'clientId', 'Client ID'),
    file('01a22210-2a2f-7028-bdbb-4f86114a66b3', 'certificate', 'Certificate and private key', {
      description: 'PEM, or PKCS#12 in base64'
    }),
    optional(password('01a22210-2a31-74b6-bb93-f25a7e829917', 'certificatePassword', 'Certificate password'))
  ]),
  builtIn('01a22210-2a33-71b5-a7c4-ed82ad7bb198', 'kubeconfig', 'Kubernetes clusters and users', [
    file('01a22210-2a35-76e8-a3c8-387cecbde7a7', 'kubeconfig', 'kubeconfig file'),
    optional(open('01a22210-2a37-747c-8131-a91f2d5942c0', 'context', 'Context, if not the current context')),
    optional(open('01a22210-2a3a-73be-92eb-e83b3101929b', 'namespace', 'Namespace'))
  ]),

  builtIn('01a2004e-1a4c-76c9-89e9-6a195dd21560', 'github-token', 'GitHub access token', [
    password('01a2004e-1a4d-7b52-8d32-38b4a90a669d', 'token', 'Token'),
    optional(
      url('01a2004e-1a4e-75cf-b082-2c17b4d24490', 'baseUrl', 'API URL', {
        defaultValue: 'https://api.github.com'
      })
    )
  ]),
  builtIn('01a22210-2a3c-779b-95fd-ebb757b8917c', 'github-app', 'GitHub App', [
    open('01a22210-2a3e-7613-85ff-1381361fd030', 'appId', 'App ID or client ID'),
    file('01a22210-2a40-723b-9071-b416b5c92152', 'privateKey', 'Private key, in PEM'),
    optional(open('01a22210-2a42-7002-ad36-b0f6dd36208e', 'installationId', 'Installation ID')),
    optional(open('01a22210-2a44-7347-9fd7-403d6586b371', 'clientId', 'Client ID')),
    optional(password('01a22210-2a46-716d-95e1-5d4db80ef5df', 'clientSecret', 'Client secret')),
    optional(password('01a22210-2a49-7195-8fe9-b2d19e7bb5d4', 'webhookSecret', 'Webhook secret')),
    optional(
      url('01a22210-2a4b-74eb-b6fd-c08d55855288', 'baseUrl', 'API URL', {
        defaultValue: 'https://api.github.com'
      })
    )
  ]),
  builtIn('01a2004e-1a4f-784a-9299-e9ade80f0ee4', 'gitlab-token', 'GitLab access token', [
    password('01a2004e-1a50-7151-8db1-68d3f61837c0', 'token', 'Token'),
    optional(
      url('01a2004e-1a51-7f16-b860-ff5ee4470da9', 'baseUrl', 'Base URL', {
        defaultValue: 'https://gitlab.com'
      })
    )
  ]),
  builtIn('01a2004e-1a52-71d9-8065-e19b96498e29', 'slack-token', 'Slack app token', [
    password('01a2004e-1a53-76f0-bfdf-6d6630012e1b', 'token', 'Bot or user token'),
    optional(password('01a2004e-1a54-73fd-b17d-fc306faf573c', 'signingSecret', 'Signing secret'))
  ]),
  builtIn('01a2004e-1a55-7e6c-aa18-f5e4ff469907', 'openai', 'OpenAI API key', [
    password('01a2004e-1a56-7c2b-9296-6a627c8d619e', 'apiKey', 'API key'),
    optional(open('01a2004e-1a57-7abd-ab23-207170ac596e', 'organization', 'Organization ID')),
    optional(open('01a2004e-1a58-7588-bc08-dc27dbd09214', 'project', 'Project ID')),
    optional(url('01a2004e-1a59-712f-a8d6-07b630059e98', 'baseURL', 'Base URL'))
  ]),
  builtIn('01a2004e-1a5a-7e69-9edf-a92b42142856', 'anthropic', 'Anthropic API key', [
    password('01a2004e-1a5b-7664-9695-e5962576a586', 'apiKey', 'API key'),
    optional(url('01a2004e-1a5c-7266-acf2-bebde8f61039', 'baseURL', 'Base URL'))
  ]),
  builtIn('01a2004e-1a5d-7bd2-90d6-ed150deca802', 'stripe', 'Stripe API keys', [
    optional(password('01a2004e-1a5e-7869-8944-a6a2dc9efd38', 'secretKey', 'Secret key')),
    optional(
      password('01a22210-2a4d-74a2-bacc-270bd4834c62', 'apiKey', 'API key', {
        description: 'The secret key, under the name that OpenFn uses'
      })
    ),
    optional(open('01a2004e-1a5f-7b1d-9bca-121655ef6453', 'publishableKey', 'Publishable key')),
    optional(password('01a2004e-1a60-75dd-bf9a-55767038a8bc', 'webhookSecret', 'Webhook signing secret')),
    optional(url('01a22210-2a4f-7380-a1bb-f9efc322938d', 'baseUrl', 'Base URL')),
    optional(open('01a22210-2a50-73a6-b397-04f9d37c57df', 'apiVersion', 'API version')),
    extra('01a22210-2a52-721b-96f1-32618271ded6')
  ]),
  builtIn('01a2004e-1a61-768c-85e6-12b141d3e9bb', 'twilio', 'Twilio account', [
    open('01a2004e-1a62-7852-b79f-cbd3678331b3', 'accountSid', 'Account SID'),
    optional(password('01a2004e-1a63-7e1c-bee6-b1ad5684d7da', 'authToken', 'Auth token')),
    optional(
      open('01a22210-2a54-71d5-a5cc-d7c806c272df', 'apiKeySid', 'API key SID', {
        description: 'Instead of the auth token; also set the API key secret'
      })
    ),
    optional(password('01a22210-2a57-7749-a1de-22c1e4f89d66', 'apiKeySecret', 'API key secret')),
    extra('01a22210-2a59-72eb-bfad-37671c2cb29e')
  ]),
  builtIn('01a2004e-1a64-719a-9510-b69ba8443f8a', 'sendgrid', 'SendGrid API key', [
    password('01a2004e-1a65-7623-a3f1-b630602503ef', 'apiKey', 'API key'),
    optional(email('01a2004e-1a66-7d49-a80f-68f6cbd7b2b9', 'fromEmail', 'Sender'))
  ]),
  builtIn('01a2004e-1a67-735d-81c9-30edbcb87678', 'dhis2', 'DHIS2 instance', [
    url('01a2004e-1a68-7ed0-ab79-74b51274f2b7', 'hostUrl', 'Host URL'),
    optional(open('01a2004e-1a69-7928-87dc-40266cad51e4', 'username', 'User name')),
    optional(password('01a2004e-1a6a-7d64-b5a3-fa4a5202d9de', 'password', 'Password')),
    optional(
      password('01a2004e-1a6b-7904-90f7-4d9b0f6dde6c', 'pat', 'Personal access token', {
        description: 'Instead of user name and password'
      })
    ),
    optional(open('01a2004e-1a6c-7105-989d-0b48faf28375', 'apiVersion', 'API version')),
    extra('01a22210-2a5b-77e4-a6e5-a94749364682')
  ])
]

/** The fields whose members `resolve` returns like fields: see `extra`. */
export const EXTRA_FIELD_IDS: ReadonlySet<string> = new Set(
  catalogue.flatMap(({ fields }) => fields.filter((field) => field.fieldName === 'extra').map(({ id }) => id))
)
