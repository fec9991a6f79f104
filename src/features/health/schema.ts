import { Type } from '@sinclair/typebox'
import { answer, closed } from '../../http/schemas.ts'

export const Health = closed({ status: Type.String() }, { $id: 'Health', examples: [{ status: 'ok' }] })

const tags = ['Health']

export const getLiveness = {
  operationId: 'getLiveness',
  summary: 'Check that the process is running',
  description:
    'Does not check the database, because a process that waits for it does not need to be restarted.',
  tags,
  response: { 200: answer('The process is running', Health) }
}

export const getReadiness = {
  operationId: 'getReadiness',
  summary: 'Check that the service is ready for requests',
  description:
    'Returns 503 while the process cannot connect to a database that accepts writes, or while it is ' +
    'stopping; `detail` says which.',
  tags,
  response: { 200: answer('The service is ready', Health) }
}
