import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { newCredential, newProject, newType, reveal } from '../../helpers/fixtures.ts'

const path = '/api/v1/app-credentials'

t.test('a value decrypts only where it was encrypted', async (t) => {
  const service = await startTestApp(t)
  const ann = await service.newUser()
  const type = await newType(ann)
  const { host, password, note } = type.field as Record<string, string>
  const keysOf = (id: string) =>
    service.db
      .selectFrom('credential_keys')
      .where('credential_id', '=', id)
      .select(['field_id', 'value'])
      .orderBy('field_id')
      .execute()
  const put = (id: string, field: string, value: Buffer) =>
    service.db
      .updateTable('credential_keys')
      .set({ value })
      .where('credential_id', '=', id)
      .where('field_id', '=', field)
      .execute()
  const fails = async (t: Test, id: string, what: string) => {
    const answer = await ann.post(`${path}/${id}/reveal`, {})
    t.equal(answer.status, 500, what)
    t.equal(answer.json.code, 'decryption-failed', what)
    t.notMatch(answer.text, 'hunter2')
  }

  t.test('not in another credential, nor in another field', async (t) => {
    const [one, two] = [await newCredential(ann, type), await newCredential(ann, type)]
    const [keysOne, keysTwo] = [await keysOf(one.id), await keysOf(two.id)]
    const original = keysTwo.find((key) => key.field_id === password)!.value
    await put(two.id, password!, keysOne.find((key) => key.field_id === password)!.value)
    await fails(t, two.id, 'from another credential')
    await put(two.id, password!, keysTwo.find((key) => key.field_id === host)!.value)
    await fails(t, two.id, 'from another field')
    await put(two.id, password!, original)
    t.equal((await reveal(ann, two.id)).password, 'hunter2 hunter2', 'the original value decrypts')
  })

  t.test('not at another revision of the values', async (t) => {
    const made = await newCredential(ann, type)
    const before = await keysOf(made.id)
    await ann.put(`${path}/${made.id}`, { keys: [{ fieldId: note, keyValue: 'n' }] })
    const old = before.find((key) => key.field_id === password)!.value
    await put(made.id, password!, old)
    await fails(t, made.id, 'a value from before a change of another field')
    const mended = await ann.put(`${path}/${made.id}`, { keys: [{ fieldId: password, keyValue: 'new' }] })
    t.equal(mended.status, 200, 'the owner can replace a damaged value')
    t.same(await reveal(ann, made.id), { host: 'mail.example.org', password: 'new', note: 'n' })
  })

  t.test('not with a changed bit or a missing byte, and other values still decrypt', async (t) => {
    const [made, other] = [await newCredential(ann, type), await newCredential(ann, type)]
    const { value } = (await keysOf(made.id)).find((key) => key.field_id === password)!
    for (const index of [0, 1, 4, 5, 16, 17, value.length - 17, value.length - 1]) {
      const bent = Buffer.from(value)
      bent[index]! ^= 1
      await put(made.id, password!, bent)
      await fails(t, made.id, `byte ${index}`)
    }
    for (const length of [0, 1, 5, 17, 32, value.length - 1]) {
      await put(made.id, password!, value.subarray(0, length))
      await fails(t, made.id, `cut at ${length}`)
    }
    t.equal((await ann.get(`${path}/${made.id}`)).status, 200, 'the credential itself can be read')
    t.equal((await reveal(ann, other.id)).password, 'hunter2 hunter2')
  })

  t.test(
    'nor for a project token, which gets the other values; each failure is recorded and counted',
    async (t) => {
      const projectId = await newProject(ann)
      const token = { name: 'machine', scopes: ['credentials:resolve'], projectId }
      const machine = service.anonymous()
      machine.bearer = (await ann.post('/api/v1/access-tokens', token)).json.token
      const [one, two, whole] = [
        await newCredential(ann, type, { projectIds: [projectId] }),
        await newCredential(ann, type, { projectIds: [projectId] }),
        await newCredential(ann, type, { projectIds: [projectId] })
      ]
      const sealedOf = async (id: string) =>
        (await keysOf(id)).find((key) => key.field_id === password)!.value
      const [first, second] = [await sealedOf(one.id), await sealedOf(two.id)]
      await ann.put(`${path}/${one.id}`, { keys: [{ fieldId: password, keyValue: 'newer' }] })
      const newer = await sealedOf(one.id)
      const bent = Buffer.from(newer)
      bent[bent.length - 20]! ^= 4
      const flaws: [string, Buffer][] = [
        ['swapped', second],
        ['rolled back', first],
        ['cut', newer.subarray(0, newer.length - 3)],
        ['bent', bent]
      ]
      const counted = async () => {
        const text = await service.app.metrics.registry.metrics()
        return Number(/^latchkey_decryption_failures_total\{where="request"\} (\d+)$/m.exec(text)![1])
      }
      const denials = async () => {
        const { rows } = await sql<{ count: number }>`select coalesce(sum(count), 0) as count from audit_log
        where target_id = ${one.id} and outcome = 'denied'
          and details ->> 'code' = 'decryption-failed'`.execute(service.db)
        return Number(rows[0]!.count)
      }
      for (const [what, value] of flaws) {
        await put(one.id, password!, value)
        const before = [await counted(), await denials()]
        const body = { credentials: [{ id: one.id }, { id: whole.id }] }
        const answer = await machine.post(`/api/v1/projects/${projectId}/resolve`, body)
        t.equal(answer.status, 200, what)
        t.match(answer.json.results[0], { id: one.id, error: { code: 'decryption-failed' } }, what)
        t.notOk('values' in answer.json.results[0])
        t.equal(answer.json.results[1].values.password, 'hunter2 hunter2', `${what}: the other is resolved`)
        await fails(t, one.id, what)
        t.same([await counted(), await denials()], [before[0]! + 2, before[1]! + 2], `${what}: both failures`)
      }
      await put(one.id, password!, newer)
      t.equal((await reveal(ann, one.id)).password, 'newer')
    }
  )

  t.test('and the database contains no plain text', async (t) => {
    const secret = 'one secret, stored three times'
    const keys = [
      { fieldId: host, keyValue: secret },
      { fieldId: password, keyValue: secret },
      { fieldId: note, keyValue: secret }
    ]
    const { id } = await newCredential(ann, type, { keys })
    const values = (await keysOf(id)).map((key) => key.value)
    t.equal(new Set(values.map((value) => value.toString('hex'))).size, 3, 'equal values differ')
    const { rows } = await sql<{ count: number; nonces: number }>`
      select count(*) as count, count(distinct substring(value from 6 for 12)) as nonces
      from credential_keys`.execute(service.db)
    t.equal(rows[0]!.count, rows[0]!.nonces, 'nonces are unique')
    t.ok(values.every((value) => !value.includes('secret')))
  })
})
