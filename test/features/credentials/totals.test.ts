import { sql } from 'kysely'
import t from 'tap'
import { startTestApp } from '../../helpers/app.ts'
import { newCredential, newCredentialBody, newType } from '../../helpers/fixtures.ts'

const path = '/api/v1/app-credentials'

t.test('stored totals are correct', async (t) => {
  const service = await startTestApp(t)
  const [ann, bob] = [await service.newUser(), await service.newUser()]
  const [type, other] = [await newType(ann), await newType(ann)]

  async function allAreRight(name: string) {
    const { rows } = await sql`select owner_id, type_id, sum(n) from (
        select owner_id, type_id, count(*) as n from credentials group by 1, 2
        union all select owner_id, type_id, -sum(total) from credential_totals group by 1, 2) both_of_them
      group by 1, 2 having sum(n) <> 0`.execute(service.db)
    t.same(rows, [], `${name}: totals equal counts`)
  }
  const totalOf = async (client = ann, query = '') => (await client.get(`${path}${query}`)).json.total
  const usageOf = async ({ id }: { id: string }) =>
    (await ann.get(`/api/v1/credential-types/${id}`)).json.usageCount

  await t.test('with concurrent creates and deletions', async (t) => {
    const made = await Promise.all(
      Array.from({ length: 24 }, (_, i) => newCredential(i % 3 ? ann : bob, i % 2 ? type : other))
    )
    t.same([await totalOf(), await totalOf(bob)], [16, 8])
    t.equal(await totalOf(ann, `?credentialTypeId=${type.id}`), 8)
    t.same([await usageOf(type), await usageOf(other)], [12, 12])
    await Promise.all(made.slice(0, 12).map((one, i) => (i % 3 ? ann : bob).delete(`${path}/${one.id}`)))
    t.same([await totalOf(), await totalOf(bob)], [8, 4])
    await allAreRight('made and deleted')
  })

  await t.test('when creates are refused', async (t) => {
    const before = await totalOf()
    const body = newCredentialBody(type)
    const answers = await Promise.all([1, 2, 3].map(() => ann.post(path, body)))
    t.same(answers.map((one) => one.status).sort(), [201, 409, 409])
    t.equal(await totalOf(), before + 1)
    await allAreRight('one of three')
  })

  await t.test('when a credential is transferred, and when many are deleted at once', async (t) => {
    const { id } = await newCredential(ann, type)
    const [before, had] = [await totalOf(), await totalOf(bob)]
    t.equal((await ann.post(`${path}/${id}/transfer`, { email: bob.person.email })).status, 200)
    t.same([await totalOf(), await totalOf(bob)], [before - 1, had + 1])
    await allAreRight('transferred')
    await sql`delete from credentials`.execute(service.db)
    t.same([await totalOf(), await totalOf(bob), await usageOf(type)], [0, 0, 0])
    await allAreRight('all gone')
  })
})
