import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { breakingChanges, type Document, isMajor, type Method, type Operation } from './helpers/breaking.ts'
import type { Schema } from './helpers/breaking-schema.ts'

const root = join(import.meta.dirname, '..')
const read = async (path: string): Promise<Document> => parse(await readFile(join(root, path), 'utf8'))

/** The document of the last release: see CONTRIBUTING.md. */
const released = await read('docs/openapi-released.yaml')
const current = await read('openapi.yaml')

t.test('only a major version may break callers of the last release', async (t) => {
  if (isMajor(released, current)) return
  t.same(breakingChanges(released, current), [], 'add instead of changing, or raise the major version')
})

t.test('a higher first number makes a major version', async (t) => {
  const ofVersion = (version: string): Document => ({ ...current, info: { version } })
  t.ok(isMajor(ofVersion('1.9.0'), ofVersion('2.0.0')))
  t.ok(isMajor(ofVersion('9.0.0'), ofVersion('10.0.0')))
  t.notOk(isMajor(ofVersion('1.9.0'), ofVersion('1.10.0')))
  t.notOk(isMajor(ofVersion('2.0.0'), ofVersion('1.0.0')))
})

const LIST = '/api/v1/app-credentials'
const ONE = '/api/v1/app-credentials/{id}'

type Change = (document: Document) => void
const operation = (document: Document, path: string, method: Method): Operation =>
  document.paths[path]![method]!
const schema = (document: Document, name: string) => document.components['schemas']![name] as Schema
const property = (document: Document, name: string, key: string) => schema(document, name).properties![key]!
// biome-ignore lint/suspicious/noExplicitAny: a part of a document, for tests to change
const part = (document: Document, section: string, name: string): any => document.components[section]![name]
/** Returns the values of an extensible enumeration. */
const extensible = (document: Document, name: string) =>
  schema(document, name)['x-extensible-enum'] as string[]
/** Returns the problem codes of a response. Copies a shared response into the operation first. */
function codesOf(document: Document, path: string, method: Method, status: string): string[] {
  const { responses } = operation(document, path, method)
  const [, , , name] = (responses[status] as { $ref?: string }).$ref?.split('/') ?? []
  if (name) responses[status] = structuredClone(part(document, 'responses', name))
  return (responses[status] as { 'x-problem-codes': string[] })['x-problem-codes']
}
function rename(document: Document, name: string, other: string): void {
  const text = JSON.stringify(document)
    .replaceAll(`"#/components/schemas/${name}"`, `"#/components/schemas/${other}"`)
    .replace(`"${name}":`, `"${other}":`)
  Object.assign(document, JSON.parse(text))
}
const without = (list: unknown[], value: unknown) => list.splice(list.indexOf(value), 1)

/** The document with two enumerations, one only in requests and one only in responses. */
const base = structuredClone(current)
for (const name of ['ProjectCreate', 'User'])
  schema(base, name).properties!['colour'] = { type: 'string', enum: ['red', 'green'] }

/** Changes of the document, with the expected result of the comparison. */
const BREAKING: Record<string, [Change, RegExp]> = {
  'a path removed': [(d) => delete d.paths[ONE], /^GET \S+\/\{id\} is gone$/],
  'a path parameter renamed': [
    (d) => {
      d.paths['/api/v1/projects/{project}'] = d.paths['/api/v1/projects/{id}']!
      delete d.paths['/api/v1/projects/{id}']
    },
    /^PUT \/api\/v1\/projects\/\{id\} is gone$/
  ],
  'an operation removed': [(d) => delete d.paths[ONE]!['delete'], /^DELETE \S+ is gone$/],
  'an operationId changed': [
    (d) => {
      operation(d, LIST, 'get').operationId = 'findCredentials'
    },
    /the operationId is findCredentials now/
  ],
  'a new required property of a request body': [
    (d) => {
      schema(d, 'ProjectCreate').properties!['size'] = { type: 'string' }
      schema(d, 'ProjectCreate').required!.push('size')
    },
    /POST \/api\/v1\/projects: body has to have size now/
  ],
  'a property of a request body made required': [
    (d) => schema(d, 'ProjectCreate').required!.push('description'),
    /body has to have description now/
  ],
  'a property of a request body removed': [
    (d) => delete schema(d, 'ProjectCreate').properties!['description'],
    /body\.description is gone/
  ],
  'a new required parameter': [
    (d) =>
      operation(d, LIST, 'get').parameters!.push({
        name: 'tenant',
        in: 'header',
        required: true,
        schema: { type: 'string' }
      }),
    /the header parameter tenant is required now/
  ],
  'a parameter made required': [
    (d) => {
      part(d, 'parameters', 'Search').required = true
    },
    /the query parameter search is required now/
  ],
  'a parameter removed': [
    (d) => operation(d, LIST, 'get').parameters!.splice(1, 1),
    /GET \S+: the query parameter search is gone/
  ],
  'a request body made required': [
    (d) => {
      operation(d, LIST, 'get').requestBody = { required: true, content: {} }
    },
    /GET \S+: a body is required now/
  ],
  'a request body removed': [(d) => delete operation(d, ONE, 'put').requestBody, /PUT \S+: the body is gone/],
  'a value removed from an enumeration in a request': [
    (d) => without(property(d, 'ProjectCreate', 'colour').enum!, 'red'),
    /body\.colour does not take red any more/
  ],
  'an enumeration for an input that accepted any value': [
    (d) => {
      property(d, 'ProjectCreate', 'name').enum = ['one', 'two']
    },
    /body\.name does not take any other any more/
  ],
  'a smaller maximum length': [
    (d) => {
      property(d, 'ProjectCreate', 'name')['maxLength'] = 199
    },
    /body\.name has a smaller maxLength/
  ],
  'a new maximum': [
    (d) => {
      property(d, 'CredentialTypeFieldUpdate', 'position')['maximum'] = 63
    },
    /body\.fields\[\]\.position has a smaller maximum/
  ],
  'a smaller maximum number of entries': [
    (d) => {
      property(d, 'AppCredentialCreate', 'keys')['maxItems'] = 63
    },
    /body\.keys has a smaller maxItems/
  ],
  'a smaller maximum page size': [
    (d) => {
      part(d, 'parameters', 'PageSize').schema.maximum = 50
    },
    /the query parameter pageSize has a smaller maximum/
  ],
  'a larger minimum': [
    (d) => {
      property(d, 'UserCreate', 'password')['minLength'] = 13
    },
    /body\.password has a larger minLength/
  ],
  'a new minimum number of entries': [
    (d) => {
      property(d, 'AppCredentialCreate', 'keys')['minItems'] = 1
    },
    /body\.keys has a larger minItems/
  ],
  'entries that must be unique now': [
    (d) => {
      property(d, 'ProjectIds', 'projectIds')['uniqueItems'] = true
    },
    /body\.projectIds takes no entry twice any more/
  ],
  'another type of an input': [
    (d) => {
      property(d, 'UserCreate', 'name').type = 'integer'
    },
    /body\.name is not of type string any more/
  ],
  'an input that is no longer nullable': [
    (d) => {
      property(d, 'ProjectCreate', 'description').type = 'string'
    },
    /body\.description is not of type null any more/
  ],
  'a type for an input that had any type': [
    (d) => {
      property(d, 'AppCredentialKeyInput', 'keyValue').type = 'string'
    },
    /body\.keys\[\]\.keyValue is not of type any other any more/
  ],
  'another pattern of an input': [
    (d) => {
      property(d, 'ProjectCreate', 'name')['pattern'] = '^[a-z]+$'
    },
    /body\.name has another pattern/
  ],
  'another format of an input': [
    (d) => {
      property(d, 'ProjectCreate', 'name')['format'] = 'uri'
    },
    /body\.name has another format/
  ],
  'another default': [
    (d) => {
      part(d, 'parameters', 'PageSize').schema.default = 50
    },
    /the query parameter pageSize has another default/
  ],
  'a request body that no longer accepts additional properties': [
    (d) => {
      schema(d, 'LightningCredentialCreate').additionalProperties = false
    },
    /body does not take properties that it does not name any more/
  ],
  'a new anyOf for an input': [
    (d) => {
      property(d, 'ProjectCreate', 'name')['anyOf'] = [{ pattern: 'a' }, { pattern: 'b' }]
    },
    /body\.name has another anyOf, which cannot be judged/
  ],
  'another media type of a request body': [
    (d) => {
      const { content } = operation(d, ONE, 'put').requestBody!
      operation(d, ONE, 'put').requestBody!.content = { 'application/cbor': content['application/json']! }
    },
    /PUT \S+: body is not application\/json any more/
  ],
  'a property of a response removed': [
    (d) => delete schema(d, 'AppCredential').properties!['usageCount'],
    /GET \S+\{id\}: 200\.usageCount is gone/
  ],
  'a property of a response made optional': [
    (d) => without(schema(d, 'AppCredential').required!, 'usageCount'),
    /200 does not always have usageCount any more/
  ],
  'a property of a page entry removed': [
    (d) => delete schema(d, 'ProjectReference').properties!['name'],
    /GET \/api\/v1\/app-credentials: 200\.data\[\]\.projects\[\]\.name is gone/
  ],
  'another type of an output': [
    (d) => {
      property(d, 'User', 'disabled').type = 'string'
    },
    /200\.disabled may be of type string now/
  ],
  'an output that is nullable now': [
    (d) => {
      property(d, 'User', 'name').type = ['string', 'null']
    },
    /200\.name may be of type null now/
  ],
  'an output that is no longer an integer': [
    (d) => {
      property(d, 'AppCredential', 'revision').type = 'number'
    },
    /200\.revision may be of type number now/
  ],
  'another format of an output': [
    (d) => {
      property(d, 'User', 'createdAt')['format'] = 'date'
    },
    /200\.createdAt has another format/
  ],
  'a value added to an enumeration in a response': [
    (d) => property(d, 'User', 'colour').enum!.push('blue'),
    /200\.colour may be blue now/
  ],
  'an enumeration in a response dropped': [
    (d) => delete property(d, 'User', 'colour').enum,
    /200\.colour may be any other now/
  ],
  'a property of a problem removed': [
    (d) => delete schema(d, 'Problem').properties!['requestId'],
    /404\.requestId is gone/
  ],
  'a response header removed': [
    (d) => {
      delete (operation(d, ONE, 'get').responses['200'] as { headers?: object }).headers
    },
    /GET \S+\{id\}: the header ETag of 200 is gone/
  ],
  'a success status removed': [
    (d) => {
      const { responses } = operation(d, LIST, 'post')
      responses['202'] = responses['201']!
      delete responses['201']
    },
    /POST \S+: the status 201 is gone/
  ],
  'another scope required': [
    (d) => {
      operation(d, LIST, 'get').security = [{ sessionCookie: [] }, { bearerToken: ['credentials:write'] }]
    },
    /GET \S+: \{"bearerToken":\["credentials:read"\]\} is no longer enough/
  ],
  'an additional scope required': [
    (d) => {
      operation(d, LIST, 'get').security = [
        { sessionCookie: [] },
        { bearerToken: ['credentials:read', 'audit:read'] }
      ]
    },
    /\{"bearerToken":\["credentials:read"\]\} is no longer enough/
  ],
  'tokens no longer accepted': [
    (d) => {
      operation(d, LIST, 'get').security = [{ sessionCookie: [] }]
    },
    /\{"bearerToken":\["credentials:read"\]\} is no longer enough/
  ],
  'a session required where no authentication was': [
    (d) => {
      operation(d, '/livez', 'get').security = [{ sessionCookie: [] }]
    },
    /GET \/livez: \{\} is no longer enough/
  ],
  'another type of a security scheme': [
    (d) => {
      part(d, 'securitySchemes', 'sessionCookie').type = 'http'
    },
    /^the security scheme sessionCookie has another type$/
  ],
  'another scheme for tokens': [
    (d) => {
      part(d, 'securitySchemes', 'bearerToken').scheme = 'basic'
    },
    /^the security scheme bearerToken has another scheme$/
  ],
  'another name of a cookie': [
    (d) => {
      part(d, 'securitySchemes', 'sessionCookie').name = 'sid'
    },
    /^the security scheme sessionCookie has another name$/
  ],
  'a header in place of a cookie': [
    (d) => {
      part(d, 'securitySchemes', 'sessionCookie').in = 'header'
    },
    /^the security scheme sessionCookie has another in$/
  ],
  'a security scheme removed': [
    (d) => delete d.components['securitySchemes']!['bearerToken'],
    /^the security scheme bearerToken is gone$/
  ],
  'another URL of a server': [
    (d) => {
      d.servers![0]!.url = '/latchkey'
    },
    /GET \S+: the server \/ is gone/
  ],
  'a new server before the others': [
    (d) => d.servers!.unshift({ url: '/latchkey' }),
    /GET \S+: the first server is \/latchkey now/
  ],
  'another server for one path': [
    (d) => {
      d.paths[ONE]!.servers = [{ url: '/other' }]
    },
    /DELETE \S+\{id\}: the server \/ is gone/
  ],
  'another server for one operation': [
    (d) => {
      operation(d, LIST, 'post').servers = [{ url: 'https://write.example.org' }]
    },
    /POST \S+: the server \/ is gone/
  ],
  'a required parameter for all operations of a path': [
    (d) => {
      d.paths[ONE]!.parameters = [{ name: 'tenant', in: 'query', required: true, schema: { type: 'string' } }]
    },
    /DELETE \S+\{id\}: the query parameter tenant is required now/
  ],
  'a schema renamed': [(d) => rename(d, 'ProjectCreate', 'NewProject'), /^the schema ProjectCreate is gone$/],
  'another schema at the same place': [
    (d) => {
      d.components['schemas']!['NewProject'] = schema(d, 'ProjectCreate')
      operation(d, '/api/v1/projects', 'post').requestBody!.content['application/json']!.schema = {
        $ref: '#/components/schemas/NewProject'
      }
    },
    /POST \/api\/v1\/projects: body is a NewProject now, and was a ProjectCreate/
  ],
  'an inline schema in place of a reference to it': [
    (d) => {
      const media = operation(d, ONE, 'put').requestBody!.content['application/json']!
      media.schema = schema(d, 'AppCredentialUpdate')
    },
    /PUT \S+: body has no name any more, and was an? AppCredentialUpdate/
  ],
  'a tag renamed': [
    (d) => {
      operation(d, LIST, 'get').tags = ['Credentials']
    },
    /GET \S+: the tag is Credentials now/
  ],
  'a problem code renamed': [
    (d) => {
      without(extensible(d, 'ProblemCode'), 'name-taken')
      extensible(d, 'ProblemCode').push('name-conflict')
    },
    /^the schema ProblemCode does not list name-taken any more$/
  ],
  'an input error code removed': [
    (d) => without(extensible(d, 'InputErrorCode'), 'too-long'),
    /^the schema InputErrorCode does not list too-long any more$/
  ],
  'the list of problem codes dropped': [
    (d) => delete schema(d, 'ProblemCode')['x-extensible-enum'],
    /^the schema ProblemCode does not list \S.* any more$/
  ],
  'a scope removed': [
    (d) => without(extensible(d, 'Scope'), 'audit:read'),
    /^the schema Scope does not list audit:read any more$/
  ],
  'a problem code of one operation removed': [
    (d) => without(codesOf(d, LIST, 'post', '409'), 'name-taken'),
    /POST \S+: 409 is not name-taken any more/
  ],
  'a problem code of one operation moved to another status': [
    (d) => {
      without(codesOf(d, LIST, 'post', '409'), 'name-taken')
      codesOf(d, LIST, 'post', '422').push('name-taken')
    },
    /POST \S+: 409 is not name-taken any more/
  ],
  'an error status removed': [
    (d) => delete operation(d, LIST, 'post').responses['409'],
    /POST \S+: the status 409 is gone/
  ],
  'a response that no longer allows additional properties': [
    (d) => {
      schema(d, 'AppCredential').additionalProperties = false
    },
    /GET \S+: 200 may get no further properties any more/
  ],
  'a part of a response that no longer allows additional properties': [
    (d) => {
      property(d, 'AppCredential', 'projects').items = {
        ...schema(d, 'ProjectReference'),
        additionalProperties: false
      }
    },
    /200\.projects\[\] may get no further properties any more/
  ]
}

const HARMLESS: Record<string, Change> = {
  'a new path': (d) => {
    d.paths['/api/v2/things'] = d.paths[LIST]!
  },
  'a new operation': (d) => {
    d.paths[LIST]!['patch'] = operation(d, ONE, 'put')
  },
  'a new optional property of a request body': (d) => {
    schema(d, 'ProjectCreate').properties!['size'] = { type: 'string' }
  },
  'a property of a request body made optional': (d) => without(schema(d, 'ProjectCreate').required!, 'name'),
  'a new optional parameter': (d) =>
    operation(d, LIST, 'get').parameters!.push({ name: 'colour', in: 'query', schema: { type: 'string' } }),
  'more values of an enumeration used only in requests': (d) =>
    property(d, 'ProjectCreate', 'colour').enum!.push('blue'),
  'wider bounds of an input': (d) => {
    property(d, 'ProjectCreate', 'name')['maxLength'] = 400
    property(d, 'UserCreate', 'password')['minLength'] = 10
    delete property(d, 'AppCredentialCreate', 'keys')['maxItems']
  },
  'a bound without effect': (d) => {
    property(d, 'AppCredentialCreate', 'keys')['minItems'] = 0
  },
  'the pattern of an input removed': (d) => delete property(d, 'ProjectCreate', 'name')['pattern'],
  'an additional type of an input': (d) => {
    property(d, 'UserCreate', 'name').type = ['string', 'null']
  },
  'a request body that accepts additional properties now': (d) => {
    schema(d, 'ProjectCreate').additionalProperties = true
  },
  'a new property of a response': (d) => {
    schema(d, 'AppCredential').properties!['size'] = { type: 'string' }
    schema(d, 'AppCredential').required!.push('size')
  },
  'fewer values of an enumeration used only in responses': (d) =>
    without(property(d, 'User', 'colour').enum!, 'red'),
  'an output that is no longer nullable': (d) => {
    property(d, 'AppCredential', 'expiresAt').type = 'string'
  },
  'another bound of an output': (d) => {
    property(d, 'User', 'name')['maxLength'] = 400
  },
  'a new status': (d) => {
    const { responses } = operation(d, LIST, 'get')
    responses['202'] = responses['200']!
    responses['429'] = { $ref: '#/components/responses/TooManyRequests' }
  },
  'a new header': (d) => {
    part(d, 'responses', 'NotFound').headers = { ETag: { schema: { type: 'string' } } }
  },
  'another sufficient scope': (d) =>
    operation(d, LIST, 'get').security!.push({ bearerToken: ['audit:read'] }),
  'an operation without authentication': (d) => {
    operation(d, LIST, 'get').security = []
  },
  'other descriptions and examples': (d) => {
    part(d, 'responses', 'NotFound').description = 'Other words'
    schema(d, 'ProjectCreate')['examples'] = []
    property(d, 'ProjectCreate', 'name')['description'] = 'Other words'
  },
  'a new schema': (d) => {
    d.components['schemas']!['Member'] = schema(d, 'ProjectCreate')
  },
  'a new security scheme, accepted by an operation': (d) => {
    d.components['securitySchemes']!['clientCertificate'] = { type: 'mutualTLS' }
    operation(d, LIST, 'get').security!.push({ clientCertificate: [] })
  },
  'another description of a security scheme': (d) => {
    part(d, 'securitySchemes', 'bearerToken').description = 'Other words'
  },
  'an additional server': (d) => d.servers!.push({ url: 'https://keys.example.org' }),
  'a new tag': (d) => {
    d.tags!.push({ name: 'Webhooks' })
    operation(d, LIST, 'get').tags.push('Webhooks')
  },
  'a tag without operations removed': (d) => d.tags!.splice(0, 1),
  'new problem codes and input error codes': (d) => {
    extensible(d, 'ProblemCode').push('too-cold')
    extensible(d, 'InputErrorCode').push('too-cold')
    codesOf(d, LIST, 'post', '409').push('too-cold')
  },
  'a new scope': (d) => extensible(d, 'Scope').push('users:read'),
  'a response that allows additional properties now': (d) => {
    schema(d, 'AppCredential').additionalProperties = true
  }
}

t.test('a breaking change is reported', async (t) => {
  for (const [name, [change, expected]] of Object.entries(BREAKING)) {
    const changed = structuredClone(base)
    change(changed)
    const breaks = breakingChanges(base, changed)
    t.ok(
      breaks.some((one) => expected.test(one)),
      name,
      { breaks }
    )
  }
})

t.test('a compatible change is accepted', async (t) => {
  for (const [name, change] of Object.entries(HARMLESS)) {
    const changed = structuredClone(base)
    change(changed)
    t.notSame(changed, base, `${name} is a change`)
    t.same(breakingChanges(base, changed), [], name)
  }
})

t.test('the alternatives of oneOf are compared one by one', async (t) => {
  const before = structuredClone(base)
  const shape = (name: string) => ({ $ref: `#/components/schemas/${name}` })
  property(before, 'AppCredential', 'projects').items = { oneOf: [shape('ProjectReference'), shape('User')] }
  const after = (change: Change) => {
    const changed = structuredClone(before)
    change(changed)
    return breakingChanges(before, changed)
  }
  const choice = (d: Document) => property(d, 'AppCredential', 'projects').items!['oneOf'] as Schema[]
  t.same(
    after((d) => {
      schema(d, 'ProjectReference').properties!['size'] = { type: 'string' }
    }),
    []
  )
  const cases: [Change, RegExp][] = [
    [(d) => delete schema(d, 'ProjectReference').properties!['name'], /200\.projects\[\]<0>\.name is gone/],
    [(d) => choice(d).push(shape('Project')), /200\.projects\[\] has another oneOf/],
    [(d) => choice(d).pop(), /200\.projects\[\] has another oneOf/],
    [
      (d) => {
        property(d, 'AppCredential', 'projects').items!['discriminator'] = { propertyName: 'id' }
      },
      /200\.projects\[\] has another discriminator/
    ]
  ]
  for (const [change, expected] of cases) {
    const breaks = after(change)
    t.ok(
      breaks.some((one) => expected.test(one)),
      String(expected),
      { breaks }
    )
  }
})
