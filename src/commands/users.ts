import { randomBytes } from 'node:crypto'
import type { Config } from '../config.ts'
import { cleanPassword, isAcceptable, MAX_PASSWORD, MIN_PASSWORD } from '../crypto/passwords.ts'
import type { Database } from '../db/database.ts'
import { cleanEmail } from '../emails.ts'
import { createUser, listAllUsers, resetPassword, setDisabled } from '../features/users/operator.ts'
import { forgetChangedPassword } from '../first-administrator.ts'
import { type Cleaned, cleanName } from '../names.ts'
import { print, printOnce, shellWord } from '../terminal.ts'
import { type Command, type CommandInput, withDatabase } from './command.ts'

/** More than any password has, in any Unicode form. */
const MAX_INPUT_BYTES = 8_192

export const userCommands: Record<string, Command> = {
  'users list': {
    description: 'list all users, oldest first',
    details: `Prints one line for each user: the time of creation, role, whether the user is enabled, e-mail
address and name. With \`--json\`, prints one JSON object per line.`,
    example: 'latchkey users list',
    options: ['json'],
    onlyPrints: true,
    run: (config, { options }) => withDatabase(config, (db) => list(db, options.json ?? false))
  },
  'users create': {
    description: 'create a user, and print its new password once',
    details: `With \`--password-stdin\` you choose the password, of 12 to 256 characters, and it is not
printed. See [users](../operations/users.md).`,
    example: 'latchkey users create ann@example.org --name "Ann Miller" --admin',
    argument: '<email>',
    options: ['name', 'admin', 'password-stdin'],
    run: create
  },
  'users reset-password': {
    description: 'set a new password, print it once, and end all sessions of the user',
    details: `For a [lost password](../operations/users.md), including that of the only administrator.
With \`--password-stdin\` you choose the password, and it is not printed.`,
    example: 'latchkey users reset-password ann@example.org',
    argument: '<email>',
    options: ['password-stdin'],
    run: reset
  },
  'users disable': {
    description: 'prevent a user from signing in, end their sessions and revoke their personal tokens',
    details: `The data of the user stays. The last enabled administrator cannot be disabled.`,
    example: 'latchkey users disable ann@example.org',
    argument: '<email>',
    run: (config, given) => setAccess(config, given, true)
  },
  'users enable': {
    description: 'allow a disabled user to sign in again',
    details: `The password does not change. Tokens that \`users disable\` revoked stay revoked.`,
    example: 'latchkey users enable ann@example.org',
    argument: '<email>',
    run: (config, given) => setAccess(config, given, false)
  }
}

async function list(db: Database, json: boolean) {
  for await (const { id, email, name, role, disabled_at, created_at } of listAllUsers(db)) {
    const disabled = disabled_at !== null
    const createdAt = created_at.toISOString()
    if (json) print(JSON.stringify({ id, email, name, role, disabled, createdAt }))
    else print([createdAt, role.padEnd(5), disabled ? 'disabled' : 'enabled ', email, name].join('  '))
  }
}

async function create(config: Config, { argument, options }: CommandInput) {
  const email = accepted('the e-mail address', cleanEmail(argument))
  const name = accepted('--name', cleanName(options.name ?? email.slice(0, email.indexOf('@'))))
  const { password, isNew } = await passwordOf(options)
  const role = options.admin ? 'admin' : 'user'
  await withDatabase(config, async (db) => {
    await createUser(db, { email, name, role, password })
    const done = `Created ${role === 'admin' ? 'the administrator' : 'the user'} ${email}.`
    if (isNew) printPassword(done, password, email)
    else print(done)
  })
}

async function reset(config: Config, { argument, options }: CommandInput) {
  const email = accepted('the e-mail address', cleanEmail(argument))
  const { password, isNew } = await passwordOf(options)
  await withDatabase(config, async (db) => {
    const user = await resetPassword(db, email, password)
    if (config.databaseUrl === undefined) await forgetChangedPassword(db, config.dataDirectory)
    const done = `${user.email} has a new password. All sessions of the user have ended.`
    if (isNew) printPassword(done, password, user.email)
    else print(done)
    if (user.disabled_at)
      print(`The user is still disabled. To enable it, run: latchkey users enable ${shellWord(user.email)}`)
  })
}

function printPassword(done: string, password: string, email: string) {
  printOnce(
    `${done}\nPassword: ${password}`,
    `${done} The password could not be printed. To set one, run: ` +
      `latchkey users reset-password ${shellWord(email)}`
  )
}

async function setAccess(config: Config, { argument }: CommandInput, disabled: boolean) {
  const email = accepted('the e-mail address', cleanEmail(argument))
  await withDatabase(config, async (db) => {
    const user = await setDisabled(db, email, disabled)
    const ended = 'can no longer sign in; their sessions have ended, and their personal tokens are revoked'
    print(`${user.email} ${disabled ? ended : 'can sign in again'}.`)
  })
}

/** Reads the password from standard input, or generates one. */
async function passwordOf(options: CommandInput['options']): Promise<{ password: string; isNew: boolean }> {
  if (!options['password-stdin']) return { password: randomBytes(18).toString('base64url'), isNew: true }
  const typed = (await readInput()).replace(/\r?\n$/, '')
  const password = accepted('the password', cleanPassword(typed))
  if (!isAcceptable(password))
    throw new Error(`a password must have ${MIN_PASSWORD} to ${MAX_PASSWORD} characters`)
  return { password, isNew: false }
}

async function readInput(): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin) {
    bytes += chunk.length
    if (bytes > MAX_INPUT_BYTES)
      throw new Error(`a password must have ${MIN_PASSWORD} to ${MAX_PASSWORD} characters`)
    chunks.push(chunk)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  } catch {
    throw new Error('the password on standard input is not valid UTF-8')
  }
}

function accepted(what: string, cleaned: Cleaned): string {
  if ('text' in cleaned) return cleaned.text
  throw new Error(`${what} cannot be used: ${cleaned.message}`)
}
