/** A step that a page tells its reader to do in Swagger UI, and its expected result. */
export type Step = Call | { do: 'reset' } | { do: 'authorize' } | { do: 'log out' }

export interface Call {
  do: 'call'
  tag: string
  method: string
  path: string
  /** The parameters to fill in. */
  values: Record<string, string>
  body?: unknown
  status?: number
  /** The response, as JSON. */
  response?: unknown
  /** The response as a table with some properties of its `data`. The first row has their names. */
  table: string[][]
}

const OPEN = /In\s\*\*(?<tag>[^*]+)\*\*,\sopen\s`(?<method>[A-Z]+)\s(?<path>[^`]+)`/
const SET = /Set\s\*\*(?<name>\w+)\*\*\sto[^(]*\(`(?<value>[^`]+)`\)/
const CODE = /[Tt]he\scode\sis\s(?<status>\d{3})/
const JSON_BLOCK = /```json\n(?<json>[^`]*)```/
const ROW = /^\|(?<row>(?: `[^`]+` \|)+)$/
const BUTTON = /\*\*(?<reset>Reset)\*\*|Paste\sthe\s(?<token>token)|\*\*(?<out>Logout)\*\*/
const SENTENCES = new RegExp(
  [OPEN, SET, CODE, JSON_BLOCK, ROW, BUTTON].map(({ source }) => source).join('|'),
  'gm'
)

/**
 * Returns the steps of a page. After an operation, a JSON block is the body of its request; after the code,
 * it is the response.
 */
export function stepsOf(markdown: string): Step[] {
  const steps: Step[] = []
  const call = () => {
    const last = steps.at(-1)
    if (last?.do !== 'call') throw new Error('the page describes a request before it names its operation')
    return last
  }
  for (const { groups = {} } of markdown.matchAll(SENTENCES)) {
    const { tag, method, path, name, value, status, json, row, reset, token, out } = groups
    if (tag && method && path)
      steps.push({ do: 'call', tag: tag.replaceAll('\n', ' '), method, path, values: {}, table: [] })
    else if (name && value) call().values[name] = value
    else if (status) call().status = Number(status)
    else if (json) call()[call().status ? 'response' : 'body'] = JSON.parse(json)
    else if (row) call().table.push([...row.matchAll(/`([^`]+)`/g)].map(([, cell]) => cell!))
    else if (reset) steps.push({ do: 'reset' })
    else if (token) steps.push({ do: 'authorize' })
    else if (out) steps.push({ do: 'log out' })
  }
  return steps
}
