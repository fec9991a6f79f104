// The abilities of someone who can write to the database, as documented in docs/why.md and SECURITY.md.
import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { newCredential, newProject, newType, reveal } from '../../helpers/fixtures.ts'

const service = await startTestApp(t)
const { db } = service
const path = '/api/v1/app-credentials'

t.test('a writer who marks a field as not secret shows its values to members', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const type = await newType(ann)
  const project = await newProject(ann)
  const { id } = await newCredential(ann, type, { projectIds: [project] })
  const member = { email: bob.person.email, role: 'viewer' }
  t.equal((await ann.post(`/api/v1/projects/${project}/members`, member)).status, 201)
  t.notMatch((await bob.get(`${path}/${id}`)).text, 'hunter2')
  const { password } = type.field as Record<string, string>
  await db.updateTable('credential_type_fields').set({ secret: false }).where('id', '=', password!).execute()
  t.match((await bob.get(`${path}/${id}`)).text, 'hunter2')
})

t.test('a writer can restore an earlier revision of a whole credential', async (t) => {
  const ann = await service.newUser()
  const type = await newType(ann)
  const { id } = await newCredential(ann, type)
  const { password } = type.field as Record<string, string>
  const ofIt = db.selectFrom('credential_keys').where('credential_id', '=', id)
  const before = await ofIt.select(['field_id', 'value']).execute()
  const sealing = db.selectFrom('credentials').where('id', '=', id).select('sealed_revision')
  const { sealed_revision } = await sealing.executeTakeFirstOrThrow()
  await ann.put(`${path}/${id}`, { keys: [{ fieldId: password, keyValue: 'new' }] })
  t.equal((await reveal(ann, id)).password, 'new')
  for (const { field_id, value } of before) {
    const row = db.updateTable('credential_keys').where('credential_id', '=', id)
    await row.set({ value }).where('field_id', '=', field_id).execute()
  }
  await db.updateTable('credentials').set({ sealed_revision }).where('id', '=', id).execute()
  t.equal((await reveal(ann, id)).password, 'hunter2 hunter2')
})

t.test('a writer who makes themselves the owner can reveal the values', async (t) => {
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const { id } = await newCredential(ann, await newType(ann))
  t.equal((await bob.post(`${path}/${id}/reveal`, {})).status, 404)
  await db.updateTable('credentials').set({ owner_id: bob.person.id }).where('id', '=', id).execute()
  t.equal((await reveal(bob, id)).password, 'hunter2 hunter2')
})
