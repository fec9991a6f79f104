import { type Broken, verifyChain } from '../audit/chain.ts'
import { exportLines } from '../audit/export.ts'
import { print } from '../terminal.ts'
import { type Command, withDatabase } from './command.ts'

export const auditCommands: Record<string, Command> = {
  'audit verify': {
    description: 'check the audit chain and name the first event that was changed, removed or added',
    run: (config) =>
      withDatabase(
        config,
        async (db) => {
          const { verified, unsealed, head, broken } = await verifyChain(db)
          if (broken) throw new Error(describe(broken, verified))
          const { position, hash } = head
          print(
            `${verified} events are right, ${unsealed} are not sealed yet. ` +
              `Head: ${position} ${hash.toString('hex')}`
          )
        },
        { query_timeout: 0 }
      )
  },
  'audit export': {
    description: 'write all audit events as JSON Lines, oldest first',
    run: (config) =>
      withDatabase(config, async (db) => {
        for await (const line of exportLines(db)) print(line)
      })
  }
}

export function describe({ what, position, id }: Broken, verified: number): string {
  const event = id ? `event ${id}` : 'the event'
  return position
    ? `${event} at position ${position} of the audit chain is ${what}; ${verified} before it are right`
    : `${event} is ${what}, and not in the audit chain; ${verified} are in it and right`
}
