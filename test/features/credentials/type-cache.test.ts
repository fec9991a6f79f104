import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { newCredential, newCredentialBody, newType } from '../../helpers/fixtures.ts'
import { startReplica } from '../../helpers/replica.ts'

const path = '/api/v1/app-credentials'

t.test('a change of a type by another replica takes effect at once', async (t) => {
  const service = await startTestApp(t)
  const replica = await startReplica(t, service)
  const ann = await service.newUser()
  const there = replica.client(ann)
  const type = await newType(ann)
  const typePath = `/api/v1/credential-types/${type.id}`
  // Both replicas cache the type.
  const { id } = await newCredential(ann, type)
  await newCredential(there, type)
  const fields = async () => (await there.get(typePath)).json.fields as { id: string; fieldName: string }[]
  const named = (answer: { json: { keys: { fieldName: string }[] } }) =>
    answer.json.keys.map((key) => key.fieldName)

  await t.test('reads and lists show fields that another replica renamed', async (t) => {
    t.same(named(await ann.get(`${path}/${id}`)), ['host', 'password', 'note'])
    const renamed = (await fields()).map((field) =>
      field.fieldName === 'note' ? { ...field, fieldName: 'remark' } : field
    )
    t.equal((await there.put(typePath, { fields: renamed })).status, 200)
    t.same(named(await ann.get(`${path}/${id}`)), ['host', 'password', 'remark'])
    t.same(named({ json: (await ann.get(path)).json.data[0] }), ['host', 'password', 'remark'])
  })

  await t.test('a create validates values against the current type', async (t) => {
    const wider = [
      ...(await fields()),
      { fieldName: 'port', fieldLabel: 'Port', fieldType: 'number', required: false, secret: false }
    ]
    t.equal((await there.put(typePath, { fields: wider })).status, 200)
    const port = (await fields()).find((field) => field.fieldName === 'port')!.id
    const body = newCredentialBody(type)
    const keys = [...body.keys, { fieldId: port, keyValue: 25 }]
    const made = await ann.post(path, { ...body, keys })
    t.equal(made.status, 201, 'the cached type would refuse it')
    t.match(made.json.keys.at(-1), { fieldName: 'port', keyValue: 25 })
    await ann.delete(`${path}/${made.json.id}`)

    const narrower = (await fields()).filter((field) => field.id !== port)
    t.equal((await there.put(typePath, { fields: narrower })).status, 200)
    const refused = await ann.post(path, { ...newCredentialBody(type), keys })
    t.equal(refused.status, 400, 'the cached type would accept it')
    t.match(refused.json.errors, [{ path: '/body/keys/2/fieldId', code: 'unknown-field' }])
    t.equal((await ann.post(path, newCredentialBody(type))).status, 201)
  })

  await t.test('a create with a type that another replica deleted is refused', async (t) => {
    const gone = await newType(ann)
    await ann.delete(`${path}/${(await newCredential(ann, gone)).id}`)
    t.equal((await there.delete(`/api/v1/credential-types/${gone.id}`)).status, 200)
    const refused = await ann.post(path, newCredentialBody(gone))
    t.equal(refused.status, 400)
    t.match(refused.json.errors, [{ path: '/body/credentialTypeId', code: 'unknown-type' }])
  })
})
