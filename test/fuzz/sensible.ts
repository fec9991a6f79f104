import fc, { type Arbitrary } from 'fast-check'
import { Blank } from './blank.ts'

// Bodies that follow the rules beyond the schemas, which random bodies rarely do: a select has options, a
// token has the scopes of its kind, and the names of fields are unique.

const nth = fc.nat(11)
const id = (kind: string) => nth.map((n) => new Blank('id', n, kind))
const secret = nth.map((n) => new Blank('secret', n))
const word = fc.stringMatching(/^[a-z][a-z0-9]{0,12}$/)

/** Parts of patterns, in the syntax of RE2 and of others. */
const PIECES = [
  'a',
  '.',
  '*',
  '+',
  '?',
  '(',
  ')',
  '[^',
  '[',
  ']',
  '{2}',
  '{1,900}',
  '|',
  '\\d',
  '\\p{L}',
  '^',
  '$',
  '(?i)',
  '(?=',
  '\\',
  '𝕏'
]
export const pattern: Arbitrary<string> = fc.oneof(
  fc.constantFrom('^.*$', '.', '(a+)+$', 'value|[a-z0-9]+', '\\d{1,3}', '(?i)V'),
  fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 12 }).map((pieces) => pieces.join(''))
)

const fieldOf = (fieldType: string, more: Record<string, Arbitrary<unknown>> = {}) =>
  fc.record(
    {
      fieldName: word,
      fieldLabel: word,
      fieldType: fc.constant(fieldType),
      required: fc.boolean(),
      secret: fc.boolean(),
      ...more
    },
    {
      requiredKeys: [
        'fieldName',
        'fieldLabel',
        'fieldType',
        ...('options' in more ? ['options'] : [])
      ] as never
    }
  )
const open = { secret: fc.constant(false) }
const field = fc.oneof(
  fieldOf('text', { ...open, defaultValue: fc.constant('value') }),
  fieldOf('text', { pattern }),
  fieldOf('password'),
  fieldOf('multiline'),
  fieldOf('number', { ...open, defaultValue: fc.double({ noNaN: true, noDefaultInfinity: true }) }),
  fieldOf('boolean', { ...open, defaultValue: fc.boolean() }),
  fieldOf('url', { ...open, defaultValue: fc.webUrl() }),
  fieldOf('email'),
  fieldOf('select', { options: fc.uniqueArray(word, { minLength: 1, maxLength: 4 }) }),
  fieldOf('json', { ...open, defaultValue: fc.jsonValue({ maxDepth: 2 }) })
)
const fields = fc.uniqueArray(field, { minLength: 1, maxLength: 5, selector: ({ fieldName }) => fieldName })

/** One of the two forms, or sometimes both. */
const either = (byId: Record<string, Arbitrary<unknown>>, byName: Record<string, Arbitrary<unknown>>) =>
  fc.oneof(
    { weight: 5, arbitrary: fc.record(byId) },
    { weight: 5, arbitrary: fc.record(byName) },
    { weight: 1, arbitrary: fc.record({ ...byId, ...byName }) }
  )
const keys = nth.map((n) => new Blank('keys', n))
const values = nth.map((n) => new Blank('values', n))
const name = (kind: string) => nth.map((n) => new Blank('name', n, kind))
const projects = fc.array(fc.oneof(name('project'), id('project'), fc.constant('none')), { maxLength: 2 })
const projectIds = fc.array(id('project'), { maxLength: 2 })
const fieldName = fc.constantFrom('host', 'password', 'note', 'none')

const PERSONAL = ['credentials:read', 'credentials:write', 'credentials:reveal', 'audit:read']
const MACHINE = ['credentials:read', 'credentials:resolve', 'usages:write']

/** The bodies by name of the schema in the document. */
export const SENSIBLE: Record<string, Arbitrary<unknown>> = {
  CredentialTypeCreate: fc.record({ typeName: word, fields }),
  CredentialTypeUpdate: fc.record({ fields: nth.map((n) => new Blank('fields', n)) }),
  AccessTokenCreate: fc.oneof(
    fc.record({ name: word, scopes: fc.subarray(PERSONAL, { minLength: 1 }) }),
    fc.record({ name: word, scopes: fc.subarray(MACHINE, { minLength: 1 }), projectId: id('project') }),
    fc.record({ name: word, scopes: fc.subarray(MACHINE, { minLength: 1 }), project: name('project') })
  ),
  AppCredentialCreate: either(
    { credentialName: word, credentialTypeId: id('type'), keys, projectIds },
    { credentialName: word, credentialType: name('type'), values, projects }
  ),
  AppCredentialUpdate: either({ keys, projectIds }, { values, projects }),
  EnvironmentValues: either({ keys }, { values }),
  ProjectIds: either({ projectIds }, { projects }),
  AppCredentialKeyInput: either({ fieldId: id('field'), keyValue: secret }, { fieldName, keyValue: secret }),
  RevealRequest: either(
    { fieldIds: fc.uniqueArray(id('field'), { maxLength: 2, selector: fc.stringify }) },
    { fieldNames: fc.uniqueArray(fieldName, { maxLength: 2 }) }
  ),
  ResolveRequest: fc.record({
    credentials: fc.array(
      fc.oneof(
        fc.record({ id: id('credential') }),
        fc.record({ name: fc.constantFrom('Furniture 0', 'furniture 1', 'none') })
      ),
      { minLength: 1, maxLength: 4 }
    )
  }),
  LightningCredentialCreate: fc.record(
    {
      name: word,
      body: fc.dictionary(word, secret, { minKeys: 1, maxKeys: 3 }),
      project_credentials: fc.array(fc.record({ project_id: id('project') }), { maxLength: 2 })
    },
    { requiredKeys: ['name', 'body'] }
  )
}
