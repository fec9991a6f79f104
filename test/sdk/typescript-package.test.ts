// Packs sdk/typescript with `npm pack`, installs the package in an empty project, and runs the programs of
// its README.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { PACKAGE, startWorld } from './typescript/world.ts'

const run = promisify(execFile)

/** Returns the hashes of all files in a directory. */
async function contents(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const hashes = files.map(async (file) => [
    file,
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex')
  ])
  return Object.fromEntries(await Promise.all(hashes))
}

t.test('the package of the TypeScript client', async (t) => {
  // A copy without generated files, because other tests build in sdk/typescript at the same time.
  const directory = t.testdir({ empty: { 'package.json': '{ "private": true, "type": "module" }' } })
  const [checkout, project] = [join(directory, 'sdk/typescript'), join(directory, 'empty')]
  await cp(PACKAGE, checkout, {
    recursive: true,
    filter: (path) => !/\/(generated|dist|node_modules)$/.test(path)
  })
  await cp(join(PACKAGE, '../../openapi.yaml'), join(directory, 'openapi.yaml'))
  await run('npm', ['pack', '--pack-destination', project], { cwd: checkout })
  await rename(join(checkout, 'dist'), join(directory, 'dist'))
  const generated = join(checkout, 'src/generated')
  const first = await contents(generated)

  t.test('is generated reproducibly from the document', async (t) => {
    t.ok(Object.keys(first).length > 10)
    await run('npm', ['run', 'generate'], { cwd: checkout })
    t.same(await contents(generated), first)
  })

  const [tarball] = (await readdir(project)).filter((name) => name.endsWith('.tgz'))
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', `./${tarball}`], { cwd: project })
  const installed = join(project, 'node_modules/@latchkey/client')

  t.test('contains code, types, a README and the license, and has no dependencies', async (t) => {
    const files = await readdir(installed, { recursive: true })
    for (const name of [
      'dist/index.js',
      'dist/index.d.ts',
      'README.md',
      'CHANGELOG.md',
      'LICENSE',
      'package.json'
    ])
      t.ok(files.includes(name), name)
    t.notOk(files.some((name) => /^(src|scripts|tsconfig)/.test(name)))
    t.same(await readdir(join(project, 'node_modules/@latchkey')), ['client'])
    t.same(
      (await readdir(join(project, 'node_modules'))).filter((name) => !name.startsWith('.')),
      ['@latchkey']
    )
    for (const name of files.filter((one) => one.endsWith('.js'))) {
      const text = await readFile(join(installed, name), 'utf8')
      t.notMatch(text, /['"]node:|\brequire\(|\bprocess\.|\bBuffer\b/, `${name} uses only web standards`)
    }
  })

  t.test('has the version of the service, and metadata for the registry', async (t) => {
    const read = async (path: string) => JSON.parse(await readFile(path, 'utf8'))
    const { version } = await read(join(PACKAGE, '../../package.json'))
    const own = await read(join(installed, 'package.json'))
    t.equal(own.version, version)
    // npm requires the repository for provenance.
    t.match(own, {
      publishConfig: { access: 'public', provenance: true },
      repository: { url: /^git\+https:/ }
    })
    for (const name of ['homepage', 'bugs', 'keywords', 'author', 'license']) t.ok(own[name], name)
    t.match(await readFile(join(installed, 'dist/generated/contract.gen.js'), 'utf8'), `'${version}'`)
  })

  t.test('can be required from CommonJS, with types', async (t) => {
    const cjs = join(directory, 'cjs')
    await mkdir(join(cjs, 'node_modules/@latchkey'), { recursive: true })
    await cp(installed, join(cjs, 'node_modules/@latchkey/client'), { recursive: true })
    await writeFile(join(cjs, 'package.json'), '{ "private": true, "type": "commonjs" }')
    await writeFile(join(cjs, 'main.ts'), COMMON)
    for (const module of ['node16', 'nodenext']) {
      const options = [
        '--module',
        module,
        '--target',
        'es2022',
        '--lib',
        'es2022',
        '--strict',
        '--types',
        'node'
      ]
      const roots = ['--typeRoots', join(PACKAGE, '../../node_modules/@types')]
      const outcome = await run('tsc', [...options, ...roots, 'main.ts'], { cwd: cjs }).catch(
        (error) => error
      )
      t.equal(outcome.stdout, '', module)
      t.equal((await run(process.execPath, ['main.js'], { cwd: cjs })).stdout, 'LatchkeyError 404\n', module)
    }
    const names = 'Object.keys(require("@latchkey/client")).sort().join()'
    const { stdout } = await run(process.execPath, ['-p', names], { cwd: cjs })
    const declared = await readFile(join(installed, 'cjs/index.d.cts'), 'utf8')
    const constants = [...declared.matchAll(/declare const (\w+)/g)].map(([, name]) => name)
    t.equal(stdout.trim(), constants.sort().join(), 'the types declare every export')
  })

  const readme = await readFile(join(PACKAGE, 'README.md'), 'utf8')
  const programs = [...readme.matchAll(/<!-- program: ([\w-]+) -->\n```ts\n([\s\S]*?)```/g)]
  for (const [, name, text] of programs) await writeFile(join(project, `${name}.ts`), text!)
  await writeFile(join(project, 'types.ts'), TYPES)

  t.test('has types that compile in a strict project', async (t) => {
    t.equal(readme.split('```ts').length - 1, programs.length, 'every program of the README is tested')
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2022',
      lib: ['es2022'],
      types: ['node'],
      typeRoots: [join(PACKAGE, '../../node_modules/@types')],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      verbatimModuleSyntax: true,
      skipLibCheck: false
    }
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
    const outcome = await run('tsc', ['-p', '.'], { cwd: project }).catch((error) => error)
    t.equal(outcome.stdout, '')
  })

  t.test('runs the programs of the README against the service', async (t) => {
    const { proxy, ann } = await startWorld(t, directory)
    const env: NodeJS.ProcessEnv = {
      PATH: process.env.PATH,
      LATCHKEY_URL: proxy.origin,
      EMAIL: ann.person.email,
      PASSWORD: ann.person.password,
      MAIL_PASSWORD: 'hunter2 hunter2'
    }
    const exported = /^export (PROJECT_ID|PERSONAL_TOKEN|PROJECT_TOKEN)=(\S+)\n/gm
    const expected: Record<string, string> = {
      'sign-in': 'signed in as Ann\n',
      'set-up': '',
      create: 'created at revision 1\n',
      response: 'Client tour mail 200 "1"\n',
      pages: 'Client tour mail 1\n',
      resolve: 'mail.example.org with a password of 15 characters\n',
      hooks: 'listAppCredentials 200 1\n',
      errors: 'changed meanwhile\n',
      'clean-up': 'removed\n'
    }
    t.same(
      programs.map(([, name]) => name),
      Object.keys(expected)
    )
    for (const time of ['first', 'second']) {
      for (const [, name] of programs) {
        const { stdout } = await run(process.execPath, [`${name}.ts`], { cwd: project, env })
        if (name === 'set-up') {
          const variables = [...stdout.matchAll(exported)].map(([, variable, value]) => [variable, value])
          t.equal(variables.length, 3, `set-up exports, ${time} time`)
          Object.assign(env, Object.fromEntries(variables))
        }
        t.equal(stdout.replace(exported, ''), expected[name!], `${name}, ${time} time`)
      }
    }
    const left = await ann.get('/api/v1/app-credentials?search=client+tour')
    t.equal(left.json.total, 0, 'nothing is left')
  })
})

const COMMON = `
import { createClient, LatchkeyError, type Problem, type Resolved } from '@latchkey/client'

createClient({ baseUrl: 'https://latchkey.example.org' })
export type Two = [Problem, Resolved<{ host: string }>]
const error: LatchkeyError = new LatchkeyError(404, new Headers(), {}, 1)
if (error instanceof LatchkeyError) console.log(error.name, error.status)
`

const TYPES = `
import { type AppCredentialItem, type AuditEvent, createClient } from '@latchkey/client'
import { LatchkeyError, type ProblemCode } from '@latchkey/client'

export async function never(): Promise<void> {
  const latchkey = createClient({ baseUrl: 'https://latchkey.example.org' })
  for await (const one of latchkey.each('listAppCredentials')) one satisfies AppCredentialItem
  for await (const one of latchkey.each('listAuditEvents', { query: { limit: 5 } })) one satisfies AuditEvent
  // @ts-expect-error not a list
  latchkey.each('getAppCredential')
  // @ts-expect-error no such filter
  latchkey.each('listAppCredentials', { query: { limit: 5 } })
  // @ts-expect-error the path is missing
  await latchkey.getAppCredential({})
  // @ts-expect-error unknown property of the body
  await latchkey.createProject({ body: { title: 'x' } })
  // @ts-expect-error id and name are exclusive
  await latchkey.resolve('x', { id: 'x', name: 'x' })
  const { values } = await latchkey.resolve('x', { id: 'x' })
  // @ts-expect-error not known to be a string
  values.host.toUpperCase()
  const { data, response } = await latchkey.getSession().withResponse()
  data.user.email satisfies string
  response.headers.get('etag') satisfies string | null
  const { results } = await latchkey.resolveCredentials({ path: { id: 'x' }, body: { credentials: [] } })
  const [result] = results
  // @ts-expect-error it may have failed
  result!.values
  if (result!.status === 'failed') result!.error.code satisfies string
  else result!.values satisfies object
  const error: unknown = undefined
  if (error instanceof LatchkeyError) {
    error.code satisfies string | undefined
    'name-taken' satisfies ProblemCode
    // @ts-expect-error no such code
    'name-token' satisfies ProblemCode
  }
}
`
