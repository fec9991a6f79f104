import { Type } from '@sinclair/typebox'
import { answer, closed } from '../../http/schemas.ts'

export const Health = closed({ status: Type.String() }, { $id: 'Health', examples: [{ status: 'ok' }] })

const tags = ['Health']

export const getLiveness = {
  operationId: 'getLiveness',
  summary: 'Whether the process runs',
  description: 'Says nothing of the database: a process that waits for it need not be restarted.',
  tags,
  response: { 200: answer('It runs', Health) }
}

export const getReadiness = {
  operationId: 'getReadiness',
  summary: 'Whether requests should be sent here',
  description:
    '503 while no connection to a database that takes writes can be had, or the process is stopping; ' +
    '`detail` says which.',
  tags,
  response: { 200: answer('It is ready', Health) }
}
