// Runs the YAML of docs/how-to/external-secrets.md with a program that works like External Secrets Operator.
import { randomUUID } from 'node:crypto'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startTestApp } from '../helpers/app.ts'
import { newProject } from '../helpers/fixtures.ts'
import { newToken } from '../helpers/tokens.ts'
import { runTool } from '../sdk/tool.ts'

t.setTimeout(600_000)

const PAGE = join(import.meta.dirname, '../../docs/how-to/external-secrets.md')
const path = '/api/v1/app-credentials'

t.test('External Secrets Operator reads credentials of a project', async (t) => {
  const cwd = t.testdir()
  await cp(join(import.meta.dirname, 'external-secrets'), cwd, { recursive: true })
  const go = (...args: string[]) => runTool('go', args, { cwd })
  const there = await go('version')
  if (there.code !== 0) return t.pass('the steps run', { skip: `no Go: ${there.out.trim()}` })
  const fetched = await go('mod', 'download')
  if (fetched.code !== 0) return t.pass('the steps run', { skip: `no registry: ${fetched.out.trim()}` })
  const built = await go('build', '-o', 'operator', '.')
  t.equal(built.code, 0, built.out)

  const service = await startTestApp(t)
  const ann = await service.newUser()
  const project = await newProject(ann)
  const types = await ann.get('/api/v1/credential-types?search=smtp')
  const type = types.json.data.find((one: { typeName: string }) => one.typeName === 'smtp')
  const keysOf = (values: Record<string, unknown>) =>
    type.fields
      .filter(({ fieldName }: { fieldName: string }) => fieldName in values)
      .map(({ id, fieldName }: { id: string; fieldName: string }) => ({
        fieldId: id,
        keyValue: values[fieldName]
      }))
  const values = {
    host: 'mail.example.org',
    port: 587,
    user: 'report',
    username: 'report',
    password: 'a "b" c'
  }
  const create = async (credentialName: string) => {
    const body = { credentialName, credentialTypeId: type.id, keys: keysOf(values), projectIds: [project] }
    const { json } = await ann.post(path, body)
    await ann.put(`${path}/${json.id}/environments/production`, { keys: keysOf(values) })
    return json.id as string
  }
  const machine = await newToken(ann, ['credentials:resolve'], { projectId: project })
  const refresh = async (more: Record<string, string> = {}) => {
    const env = { PAGE, BASE: service.origin, PROJECT: project, TOKEN: machine.bearer!, ...more }
    const { code, out } = await runTool(join(cwd, 'operator'), [], { cwd, env })
    t.equal(code, 0, out)
    return JSON.parse(out)
  }

  const gone = { dataFrom: 'NoSecretError', SMTP_PASSWORD: 'NoSecretError' }
  t.same(await refresh(), gone, 'a missing credential is deleted')
  const mail = await create('Mail server')
  t.match(await refresh(), {
    SMTP_PASSWORD: values.password,
    host: values.host,
    port: '587',
    password: values.password
  })
  await create('Say "hi" \\ {{ x }}')
  t.equal(
    (await refresh({ KEY: 'Say "hi" \\ {{ x }}' })).SMTP_PASSWORD,
    values.password,
    'a name with special characters'
  )
  t.match((await refresh({ PROPERTY: 'passwort' })).SMTP_PASSWORD, /unknown key/)

  const failing = (status: string) => ({
    dataFrom: `endpoint gave error ${status}`,
    SMTP_PASSWORD: `endpoint gave error ${status}`
  })
  await ann.put(`${path}/${mail}`, { expiresAt: '2020-01-01T00:00:00.000Z' })
  t.same(await refresh(), failing('410 Gone'), 'an expired credential is kept')
  await ann.put(`${path}/${mail}`, { expiresAt: null })
  await ann.delete(`${path}/${mail}/environments/production`)
  t.same(await refresh(), gone, 'no values for the environment')
  await ann.put(`${path}/${mail}/environments/production`, { keys: keysOf(values) })
  t.same(await refresh({ PROJECT: await newProject(ann) }), failing('403 Forbidden'))
  t.same(
    await refresh({ PROJECT: randomUUID() }),
    failing('403 Forbidden'),
    'a wrong project deletes nothing'
  )
  t.same(await refresh({ TOKEN: 'lk_prj_nonsense' }), failing('401 Unauthorized'))
  await ann.post(`${path}/${mail}/assign-projects`, { projectIds: [] })
  t.same(await refresh(), gone, 'removed from the project')
})
