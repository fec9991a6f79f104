import type { TestApp } from '../helpers/app.ts'
import { Canaries, randomWord } from '../helpers/canary.ts'
import type { Answer, Client } from '../helpers/client.ts'
import { newProject, newType } from '../helpers/fixtures.ts'
import { Blank } from './blank.ts'
import { kindOf, type Step } from './requests.ts'

/** The sender of a request. */
export interface Caller {
  headers: Record<string, string>
  /** The user with these permissions. Undefined for anonymous callers and project tokens. */
  personId?: string
}

interface Field {
  id: string
  fieldName: string
  fieldType: string
  secret: boolean
  required: boolean
  options?: string[] | null
}

/** The parts of a response that the test uses. */
export interface Seen {
  status: number
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: what came over the wire has no type here
  json: any
}

const PASSWORD = 'correct horse battery'
const PERSONAL = ['credentials:read', 'credentials:write', 'credentials:reveal', 'audit:read']
const MACHINE = ['credentials:read', 'credentials:resolve', 'usages:write']

/** One field of each type, including a text that is not secret. */
const FIELDS = [
  { fieldName: 'host', fieldLabel: 'Host', fieldType: 'text', secret: false },
  { fieldName: 'password', fieldLabel: 'Password', fieldType: 'password' },
  { fieldName: 'note', fieldLabel: 'Note', fieldType: 'multiline', required: false },
  { fieldName: 'port', fieldLabel: 'Port', fieldType: 'number', required: false },
  { fieldName: 'tls', fieldLabel: 'TLS', fieldType: 'boolean', required: false },
  { fieldName: 'url', fieldLabel: 'URL', fieldType: 'url', required: false },
  { fieldName: 'mail', fieldLabel: 'Mail', fieldType: 'email', required: false },
  { fieldName: 'zone', fieldLabel: 'Zone', fieldType: 'select', options: ['a', 'b'], required: false },
  { fieldName: 'more', fieldLabel: 'More', fieldType: 'json', required: false }
]

/** The operations that return a secret to its owner; see docs/reference/permissions.md. */
const RETURN_SECRETS = ['revealAppCredential', 'lightningCreateCredential']

/**
 * The callers of one run, and the resources that it has created so far. Each run has new users, so that a
 * request that ends a session or deletes its sender does not affect later runs, and a run has the same result
 * without those before it. The first administrator, who creates the users, does not take part in a run.
 */
export class World {
  readonly #callers: Record<string, Caller> = { nobody: { headers: {} } }
  readonly #made: Caller[] = []
  readonly #ids = new Map<string, string[]>()
  readonly #names = new Map<string, string[]>()
  readonly #emails: string[] = []
  /** The fields by type id. */
  readonly #fields = new Map<string, Field[]>()
  /** The type ids by type name. */
  readonly #typeByName = new Map<string, string>()
  /** The type ids by credential id. */
  readonly #typeOf = new Map<string, string>()
  readonly #secrets = new Canaries<'secret' | 'password' | 'token'>()
  /** The users who may see a value in a response. */
  readonly #holders = new Map<string, Set<string>>()
  /** The values by id of the credential that they were sent for. */
  readonly #sentFor = new Map<string, string[]>()
  /** The values in the request that is being filled in. */
  #planted: string[] = []
  #usedTypes: string[] = []

  static async begin(service: TestApp): Promise<World> {
    const world = new World()
    const ann = await service.newUser()
    const bob = await service.newUser()
    const boss = await service.newUser({ role: 'admin' })
    world.#callers['garbage cookie'] = { headers: { cookie: 'latchkey_session=garbage' } }
    world.#callers['garbage token'] = { headers: { authorization: 'Bearer lk_pat_garbage' } }
    for (const [name, { cookie, person }] of Object.entries({ ann, bob, boss })) {
      world.#callers[name] = { headers: { cookie: cookie! }, personId: person.id }
      world.#keep('user', person.id)
      world.#emails.push(person.email)
    }
    await world.#createResources(ann, bob)
    return world
  }

  async #createResources(ann: Client, bob: Client): Promise<void> {
    const type = await newType(ann, FIELDS)
    const projectId = await newProject(ann)
    this.#learnThing('project', (await ann.get(`/api/v1/projects/${projectId}`)).json)
    await ann.post(`/api/v1/projects/${projectId}/members`, { email: bob.person.email, role: 'editor' })
    for (const [name, scopes, of] of [
      ['personal', PERSONAL, {}],
      ['machine', MACHINE, { projectId }]
    ] as const) {
      const { json } = await ann.post('/api/v1/access-tokens', { name, scopes, ...of })
      this.#learnToken(json, ann.person.id)
      this.#callers[name] = this.#made.at(-1)!
    }
    this.#learnThing('type', (await ann.get(`/api/v1/credential-types/${type.id}`)).json)
    const who = this.caller('ann', 0)
    for (const keys of [0, 1]) {
      const body = this.fill(
        { credentialName: `Furniture ${keys}`, credentialTypeId: type.id, keys: new Blank('keys', keys) },
        who
      )
      const answer = await ann.post('/api/v1/app-credentials', {
        ...(body as object),
        projectIds: [projectId]
      })
      this.#learnMade('credential', answer, undefined)
    }
  }

  caller(name: string, nth: number): Caller {
    const made = name === 'maker' ? this.#made.at(-1 - (nth % this.#made.length)) : this.#callers[name]
    if (!made) throw new Error(`no caller ${name}`)
    return made
  }

  /** Fills in every blank of a value for this sender. `of` is the credential or type in the path. */
  fill(value: unknown, sender: Caller, { of, isRaw = false }: { of?: string; isRaw?: boolean } = {}) {
    this.#planted = []
    const type = of && (this.#typeOf.get(of) ?? of)
    this.#usedTypes = type ? [type] : []
    return this.#filled(value, sender, isRaw)
  }

  #filled(value: unknown, sender: Caller, isSecret: boolean): unknown {
    if (value instanceof Blank) return this.#blank(value, sender, isSecret)
    if (Array.isArray(value)) return value.map((one) => this.#filled(one, sender, isSecret))
    if (value === null || typeof value !== 'object') return value
    const entries: [string, unknown][] = []
    // The type and the field before the values, which depend on them.
    const first = Object.entries(value).sort(([, a], [, b]) => Number(isLate(a)) - Number(isLate(b)))
    let secret = isSecret
    for (const [key, part] of first) {
      const filled = this.#filled(part, sender, secret)
      if (key === 'credentialTypeId') this.#usedTypes.push(String(filled))
      if (key === 'credentialType') this.#usedTypes.push(this.#typeByName.get(String(filled)) ?? '')
      if (key === 'fieldId') secret = this.#isSecretField(String(filled))
      entries.push([key, filled])
    }
    return Object.fromEntries(entries)
  }

  #blank({ of, kind, nth }: Blank, sender: Caller, isSecret: boolean): unknown {
    switch (of) {
      case 'id':
        return this.#nth(this.#ids.get(kind), nth) ?? '019a0b1c-2d3e-7f40-8a51-6b7c8d9e0f12'
      case 'name':
        return this.#nth(this.#names.get(kind), nth) ?? 'none'
      case 'email':
        return this.#nth(this.#emails, nth)
      case 'password':
        return nth < 6 ? PASSWORD : this.#plant('password', undefined)
      case 'secret':
        return isSecret ? this.#plant('secret', sender.personId) : `value ${nth}`
      case 'keys':
        return this.#filledFields(nth).map((field) => ({
          fieldId: field.id,
          keyValue: this.#fitting(field, sender, nth)
        }))
      case 'values':
        return Object.fromEntries(
          this.#filledFields(nth).map((field) => [field.fieldName, this.#fitting(field, sender, nth)])
        )
      case 'fields':
        return this.#changedFields(nth)
    }
  }

  /** Returns the fields of the type in the request: all of them, or the required ones if `nth` is odd. */
  #filledFields(nth: number): Field[] {
    const fields = this.#fields.get(this.#usedTypes.at(-1) ?? '') ?? []
    return fields.filter(({ required }) => required || nth % 2 === 0)
  }

  /** Returns the fields of the type in the request, with one change. */
  #changedFields(nth: number): unknown[] {
    const fields: object[] = (this.#fields.get(this.#usedTypes.at(-1) ?? '') ?? []).map(({ id }) => ({ id }))
    const added = { fieldName: `added${nth}`, fieldLabel: 'Added', fieldType: 'text', required: nth > 6 }
    const onFirst = (change: object) => fields.map((one, i) => (i === nth % 3 ? { ...one, ...change } : one))
    if (nth < 3) return onFirst({ secret: nth === 0 })
    if (nth < 5) return onFirst({ fieldType: 'json' })
    if (nth < 8) return [...fields, added]
    if (nth < 10) return fields.slice(1)
    return fields.toReversed()
  }

  #fitting({ fieldType, secret, options }: Field, sender: Caller, nth: number): unknown {
    const text = secret ? this.#plant('secret', sender.personId) : `value ${nth}`
    switch (fieldType) {
      case 'number':
        return nth
      case 'boolean':
        return nth % 4 === 0
      case 'url':
        return `https://example.org/${encodeURIComponent(text)}`
      case 'email':
        return `${text.replaceAll(' ', '')}@example.org`
      case 'select':
        return options?.[0]
      case 'json':
        return { inside: [text] }
      default:
        return text
    }
  }

  #plant(kind: 'secret' | 'password' | 'token', holder: string | undefined, value = randomWord()): string {
    this.#secrets.plant(kind, kind, value)
    this.#holders.set(value, new Set(holder ? [holder] : []))
    this.#planted.push(value)
    return value
  }

  #isSecretField(id: string): boolean {
    return [...this.#fields.values()].some((fields) => fields.some((one) => one.id === id && one.secret))
  }

  #nth(list: string[] | undefined, nth: number): string | undefined {
    // The newest first, so that new resources are used.
    return list?.at(-1 - (nth % list.length))
  }

  #keep(kind: string, id: unknown): void {
    const ids = this.#ids.get(kind) ?? []
    this.#ids.set(kind, ids)
    if (typeof id === 'string' && !ids.includes(id)) ids.push(id)
  }

  /** Records the resources in a response, for later requests. */
  learn({ operation, path }: Step, filledPath: Record<string, string>, sender: Caller, answer: Seen): void {
    if (answer.status >= 300) return
    const { operationId } = operation
    const { json } = answer
    if (operationId === 'createAccessToken') this.#learnToken(json, sender.personId)
    if (operationId === 'transferAppCredential') this.#learnTransfer(json)
    if (operationId === 'createUser') this.#emails.push(json.email)
    if (operationId === 'listSessions') for (const { id } of json.data) this.#keep('session', id)
    if (operationId === 'listAuditEvents') for (const { id } of json.data) this.#keep('event', id)
    if (operation.method === 'GET') return
    const kind = kindOf(operation.path)
    this.#learnMade(kind, answer, 'id' in path ? filledPath.id : undefined)
    if (answer.status === 201) this.#learnThing(kind, json)
    else if (operationId === 'updateCredentialType') this.#learnThing('type', json)
  }

  #learnMade(kind: string, { status, json }: Seen | Answer, pathId: string | undefined): void {
    if (kind !== 'credential' || status >= 300) return
    const id = pathId ?? json?.id ?? json?.credential?.id
    if (typeof id !== 'string') return
    this.#sentFor.set(id, [...(this.#sentFor.get(id) ?? []), ...this.#planted])
    if (status === 201) this.#learnThing('credential', json.credential ?? json)
  }

  // biome-ignore lint/suspicious/noExplicitAny: what came over the wire has no type here
  #learnThing(kind: string, json: any): void {
    this.#keep(kind, json?.id)
    const name = json?.typeName ?? json?.name
    if (typeof name === 'string') this.#names.set(kind, [...(this.#names.get(kind) ?? []), name])
    if (kind === 'type') {
      this.#fields.set(json.id, json.fields)
      this.#typeByName.set(json.typeName, json.id)
      for (const { id } of json.fields) this.#keep('field', id)
    }
    if (kind === 'credential' && json?.credentialTypeId) this.#typeOf.set(json.id, json.credentialTypeId)
  }

  // biome-ignore lint/suspicious/noExplicitAny: as above
  #learnToken(json: any, maker: string | undefined): void {
    this.#keep('token', json.id)
    // A replayed response does not contain it.
    if (typeof json.token !== 'string') return
    const headers = { authorization: `Bearer ${json.token}` }
    this.#made.push(json.projectId || !maker ? { headers } : { headers, personId: maker })
    this.#plant('token', maker, json.token)
  }

  // biome-ignore lint/suspicious/noExplicitAny: as above
  #learnTransfer(json: any): void {
    for (const value of this.#sentFor.get(json.id) ?? []) this.#holders.get(value)?.add(json.ownerId)
  }

  /**
   * Returns the secrets that the answer must not contain: those of others, and the sender's own unless the
   * operation returns secrets.
   */
  leaked(operationId: string, sender: Caller, { status, text }: Seen): string[] {
    // Resolve returns secrets of any owner. test/permissions.test.ts checks that they are of the project.
    if (operationId === 'resolveCredentials' && status === 200) return []
    return this.#secrets
      .find(text)
      .filter(({ canary: { kind, value } }) => {
        const isMine = sender.personId !== undefined && this.#holders.get(value)!.has(sender.personId)
        const isAskedFor =
          (kind === 'secret' && RETURN_SECRETS.includes(operationId)) ||
          (kind === 'token' && operationId === 'createAccessToken')
        return !(isMine && isAskedFor && status < 300)
      })
      .map(({ canary, form }) => `a ${canary.kind} (${canary.value}, ${form})`)
  }
}

const LATE = new Set<Blank['of']>(['keys', 'values', 'secret'])
const isLate = (value: unknown) => value instanceof Blank && LATE.has(value.of)
