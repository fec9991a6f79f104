import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { adaptorSchemas } from './helpers/adaptor-schemas.ts'
import { startTestApp } from './helpers/app.ts'
import { blocksOf } from './helpers/doc-blocks.ts'
import { credential, LIGHTNING_TOKEN, REPORTS, startLightning } from './helpers/lightning.ts'
import { Shell } from './helpers/shell.ts'

const page = join(import.meta.dirname, '../docs/how-to/migrating-from-lightning.md')

/** Bodies of Lightning's own schemas, from its tests. */
const LIGHTNINGS: [string, Record<string, unknown>][] = [
  ['raw', { a: 1, b: { c: [null] }, id: 9007199254740991 }],
  [
    'oauth',
    {
      access_token: 'ya29.a0AfH6SMBx',
      refresh_token: '1//0gBq7',
      token_type: 'Bearer',
      expires_in: 3599,
      expires_at: 1_767_225_600,
      scope: 'https://www.googleapis.com/auth/spreadsheets',
      apiVersion: 'v58.0',
      instance_url: 'https://na1.example.org'
    }
  ],
  ['salesforce_oauth', { access_token: 't', instance_url: 'https://na1.example.org', sandbox: false }]
]

// The page itself moves three credentials, and `docs.test.ts` runs it literally.
t.test('the commands move credentials of every schema, and project tokens can resolve them', async (t) => {
  const sources = [
    ...LIGHTNINGS.map(([schema, body]) => ({ name: `${schema} of Lightning`, schema, body })),
    ...adaptorSchemas.map(({ name, body }) => ({ name: `Our ${name}`, schema: name, body }))
  ].map((one, index) => ({ ...one, id: `c0a80121-7ac0-4c1d-9d1b-${String(index).padStart(12, '0')}` }))
  const lightning = await startLightning(
    t,
    sources.map(({ id, name, schema }) => credential(id, name, schema, [REPORTS]))
  )
  const service = await startTestApp(t)
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-migration-'))
  await chmod(directory, 0o755)
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const cwd = join(directory, 'here')
  await mkdir(cwd)
  const { email, password } = service.admin.person
  const env = {
    LATCHKEY: service.origin,
    EMAIL: email,
    PASSWORD: password,
    TMPDIR: directory,
    LIGHTNING: lightning,
    LIGHTNING_TOKEN
  }
  const shell = new Shell(t, directory, cwd, env)

  const blocks = blocksOf(await readFile(page, 'utf8'))
  /** Runs the page's commands under the heading, and returns what they print. */
  const run = async (heading: string, only = (_: string) => true) => {
    const commands = blocks.filter(
      (one) => one.heading === heading && one.language === 'sh' && only(one.text)
    )
    t.ok(commands.length > 0, `there are commands under ${heading}`)
    let out = ''
    for (const { text } of commands) {
      const ran = await shell.run(text)
      t.equal(ran.code, 0, `${heading}: ${ran.err}`)
      out += ran.out
    }
    return out
  }
  await run('Before you begin')
  await run('1. List the credentials in Lightning')
  await run('2. Create the projects')
  const work = await shell.directory()
  const bodies = Object.fromEntries(sources.map(({ name, body }) => [name, body]))
  await writeFile(join(work, 'bodies.json'), JSON.stringify(bodies))
  await writeFile(join(work, 'migrate.mjs'), blocks.find(({ language }) => language === 'js')!.text)
  const create = '4. Create the credentials'
  await run(create, (text) => text.includes('token.json'))
  const created = await run(create, (text) => text.trim() === 'node migrate.mjs')
  t.same(
    created.trim().split('\n'),
    sources.map(({ name, schema }) => `${name}: created as ${schema}`)
  )
  const projects = JSON.parse(await readFile(join(work, 'projects.json'), 'utf8'))
  const machine = await service.admin.post('/api/v1/access-tokens', {
    name: 'Runner',
    projectId: projects[REPORTS.id],
    scopes: ['credentials:resolve']
  })
  const runner = service.anonymous()
  runner.bearer = machine.json.token
  for (const half of [sources.slice(0, 60), sources.slice(60)]) {
    const answer = await runner.post(`/api/v1/projects/${projects[REPORTS.id]}/resolve`, {
      credentials: half.map(({ name }) => ({ name }))
    })
    for (const [index, { credentialName, typeName, values }] of answer.json.results.entries()) {
      const { name, schema, body } = half[index]!
      t.equal(credentialName, name)
      // A text in Lightning's schema.
      const expected = schema === 'redis' ? { ...body, port: Number(body['port']) } : body
      t.same(typeName === 'raw' ? values.body : values, expected, name)
    }
  }
})
