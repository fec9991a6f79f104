import type { Document, Operation } from '../helpers/breaking.ts'
import type { Schema } from '../helpers/breaking-schema.ts'

export interface Edit {
  name: string
  edit(document: Document): void
  /** Whether our check considers the edit breaking, and whether oasdiff does. */
  ours: boolean
  oasdiff: boolean
  /** The reason for a difference. */
  reason?: string
}

const LIST = '/api/v1/app-credentials'
const ONE = '/api/v1/app-credentials/{id}'

const schema = (document: Document, name: string) => document.components['schemas']![name] as Schema
const property = (document: Document, name: string, key: string) => schema(document, name).properties![key]!
const scheme = (document: Document, name: string) =>
  document.components['securitySchemes']![name] as Record<string, unknown>
const list = (document: Document): Operation => document.paths[LIST]!.get!
const create = (document: Document): Operation => document.paths[LIST]!.post!

export const EDITS: Edit[] = [
  {
    name: 'an operation is removed',
    edit: (d) => delete d.paths[ONE]!.delete,
    ours: true,
    oasdiff: true
  },
  {
    name: 'a parameter is removed',
    edit: (d) => list(d).parameters!.splice(0, 1),
    ours: true,
    oasdiff: true
  },
  {
    name: 'a required parameter is added',
    edit: (d) =>
      list(d).parameters!.push({ name: 'tenant', in: 'query', required: true, schema: { type: 'string' } }),
    ours: true,
    oasdiff: true
  },
  {
    name: 'a required property of a request is added',
    edit: (d) => {
      schema(d, 'ProjectCreate').properties!['colour'] = { type: 'string' }
      schema(d, 'ProjectCreate').required!.push('colour')
    },
    ours: true,
    oasdiff: true
  },
  {
    name: 'an input may no longer be null',
    edit: (d) => {
      property(d, 'ProjectCreate', 'description').type = 'string'
    },
    ours: true,
    oasdiff: true
  },
  {
    name: 'a maximum length is reduced',
    edit: (d) => {
      property(d, 'ProjectCreate', 'name')['maxLength'] = 50
    },
    ours: true,
    oasdiff: true
  },
  {
    name: 'a value of a request enumeration is removed',
    edit: (d) => schema(d, 'FieldType').enum!.pop(),
    ours: true,
    oasdiff: true
  },
  {
    name: 'a value of a response enumeration is added',
    edit: (d) => schema(d, 'UserRole').enum!.push('guest'),
    ours: true,
    oasdiff: true
  },
  {
    name: 'a property of a response is removed',
    edit: (d) => delete schema(d, 'AppCredential').properties!['usageCount'],
    ours: true,
    oasdiff: true
  },
  {
    name: 'the type of a response changes',
    edit: (d) => {
      property(d, 'User', 'disabled').type = 'string'
    },
    ours: true,
    oasdiff: true
  },
  {
    name: 'a success status changes',
    edit: (d) => {
      const { responses } = create(d)
      responses['200'] = responses['201']!
      delete responses['201']
    },
    ours: true,
    oasdiff: true
  },
  {
    name: 'a property of a response is added',
    edit: (d) => {
      schema(d, 'AppCredential').properties!['colour'] = { type: 'string' }
    },
    ours: false,
    oasdiff: false
  },
  {
    name: 'an optional parameter is added',
    edit: (d) => list(d).parameters!.push({ name: 'colour', in: 'query', schema: { type: 'string' } }),
    ours: false,
    oasdiff: false
  },
  {
    name: 'the authentication scheme of tokens changes',
    edit: (d) => {
      scheme(d, 'bearerToken')['scheme'] = 'basic'
    },
    ours: true,
    oasdiff: true
  },
  {
    name: 'the session cookie is renamed',
    edit: (d) => {
      scheme(d, 'sessionCookie')['name'] = 'sid'
    },
    ours: true,
    oasdiff: true
  },
  {
    name: 'the path of the server changes',
    edit: (d) => {
      d.servers = [{ url: '/latchkey' }]
    },
    ours: true,
    oasdiff: false,
    reason: 'oasdiff does not consider servers breaking. Generated clients call the old path.'
  },
  {
    name: 'a schema is renamed',
    edit: (d) => {
      const text = JSON.stringify(d)
        .replaceAll('"#/components/schemas/ProjectCreate"', '"#/components/schemas/NewProject"')
        .replace('"ProjectCreate":', '"NewProject":')
      Object.assign(d, JSON.parse(text))
    },
    ours: true,
    oasdiff: false,
    reason:
      'oasdiff compares only messages. Generated clients have a type of this name, so callers do not compile.'
  },
  {
    name: 'a tag is renamed',
    edit: (d) => {
      list(d).tags = ['Credentials']
    },
    ours: true,
    oasdiff: false,
    reason: 'oasdiff compares only messages. Generated clients have a module for each tag.'
  },
  {
    name: 'an error code is renamed',
    edit: (d) => {
      const codes = schema(d, 'ProblemCode')['x-extensible-enum'] as string[]
      codes[codes.indexOf('name-taken')] = 'name-conflict'
    },
    ours: true,
    oasdiff: false,
    reason: 'oasdiff does not read extensions. Callers compare the code.'
  },
  {
    name: 'a response no longer allows additional properties',
    edit: (d) => {
      schema(d, 'AppCredential').additionalProperties = false
    },
    ours: true,
    oasdiff: false,
    reason: 'Clients that are generated from it fail when a later version adds a property.'
  },
  {
    name: 'a maximum length in a response is raised',
    edit: (d) => {
      property(d, 'User', 'name')['maxLength'] = 4000
    },
    ours: false,
    oasdiff: true,
    reason: 'Generated clients validate only requests. A limit may grow for input, and then for responses.'
  }
]
