import type { Caller } from './recorder.ts'

export const PASSWORD = 'correct horse battery'
export const ADMIN_EMAIL = 'admin@example.org'
/** A valid but unused id. */
export const NO_ID = '00000000-0000-4000-8000-000000000000'

/** The ids of built-in types and their fields, which never change. */
export const RAW = '01a2004e-19f7-72a7-9967-38418053bd0a'
export const RAW_BODY = '01a2004e-19f8-72b9-8573-d04ad0f87a71'
export const SMTP = '01a2004e-1a2b-77e8-8c62-689429088471'
export const SMTP_FIELDS = {
  host: '01a2004e-1a2c-7b01-8339-eea64df267a1',
  port: '01a2004e-1a2d-778e-b9f1-1760129344e6',
  secure: '01a2004e-1a2e-77f9-99c2-7d27c0e2111c',
  user: '01a2004e-1a2f-79d8-b349-82e9b0f7b4c7',
  password: '01a2004e-1a30-763e-90dc-7dab47100d65',
  from: '01a2004e-1a31-78b2-b590-e34a458e0226'
} as const

export const smtpKeys = (values: Partial<Record<keyof typeof SMTP_FIELDS, unknown>>) =>
  Object.entries(values).map(([field, keyValue]) => ({
    fieldId: SMTP_FIELDS[field as keyof typeof SMTP_FIELDS],
    keyValue
  }))
export const MAIL_KEYS = smtpKeys({ host: 'mail.example.org', user: 'ann', password: 'staple' })

export const SENDGRID = '01a2004e-1a64-719a-9510-b69ba8443f8a'
export const SENDGRID_FIELDS = {
  apiKey: '01a2004e-1a65-7623-a3f1-b630602503ef',
  fromEmail: '01a2004e-1a66-7d49-a80f-68f6cbd7b2b9'
} as const

/** The users, signed in. In the project `mail`, ann is owner, bob admin, cem editor and dora viewer. */
export type Person = 'admin' | 'rita' | 'ann' | 'bob' | 'cem' | 'dora' | 'eve'
export type People = Record<Person, Caller>

/** The resources that the areas have created so far, by their names in the answers. */
export interface World {
  people: People
  ids: Record<string, string>
  tokens: Record<string, Caller>
  /** When the token `ann-expired` expires, in milliseconds. */
  expiry: number
}

/** Returns the id of a resource that an earlier area created. */
export function idOf({ ids }: World, name: string): string {
  const id = ids[name]
  if (!id) throw new Error(`nothing is named ${name}`)
  return id
}
