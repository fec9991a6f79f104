import pg from 'pg'

interface Connection {
  describe(portal: object): void
}

/** How rows are read, as `pg` keeps it with each result. */
interface Shape {
  fields: unknown
  _parsers: unknown
  _prebuiltEmptyResultObject: unknown
}

type Callback = (error: Error | null, result: pg.QueryResult) => void

// What the types of `pg` do not tell.
const Query = pg.Query as unknown as new (
  config: pg.QueryConfig,
  values: undefined,
  callback: Callback
) => pg.Query & {
  name: string | undefined
  _result: Shape
  _accumulateRows: boolean
  prepare(connection: Connection): void
  handleRowDescription(message: object): void
}

/** A connection, and what the rows of its prepared statements look like. */
class Known {
  readonly shapes = new Map<string, Shape>()
  /** The connection, when nothing is to be described. */
  readonly undescribed: Connection

  constructor(connection: Connection) {
    this.undescribed = Object.create(connection, { describe: { value: () => {} } })
  }
}

const connections = new WeakMap<Connection, Known>()

function knownOf(connection: Connection): Known {
  const known = connections.get(connection) ?? new Known(connection)
  connections.set(connection, known)
  return known
}

/**
 * Asks only once on each connection what the rows of a prepared statement look like. Postgres refuses to run one whose
 * rows would look otherwise than when it was prepared, so the answer is always the same.
 */
class PreparedQuery extends Query {
  #known: Known | undefined

  override prepare(connection: Connection): void {
    const known = knownOf(connection)
    const shape = known.shapes.get(this.name!)
    if (shape) {
      Object.assign(this._result, shape)
      this._accumulateRows = true
      super.prepare(known.undescribed)
    } else {
      this.#known = known
      super.prepare(connection)
    }
  }

  override handleRowDescription(message: object): void {
    super.handleRowDescription(message)
    const { fields, _parsers, _prebuiltEmptyResultObject } = this._result
    if (this.name) this.#known?.shapes.set(this.name, { fields, _parsers, _prebuiltEmptyResultObject })
  }
}

/** Runs one statement; rejects with what Postgres says against it, or with what became of the connection. */
export async function run(client: pg.ClientBase, query: pg.QueryConfig): Promise<pg.QueryResult> {
  try {
    return await new Promise<pg.QueryResult>((resolve, reject) => {
      client.query(
        new PreparedQuery(query, undefined, (error, result) => (error ? reject(error) : resolve(result)))
      )
    })
  } catch (error) {
    // It comes from the socket, and is to say who asked.
    if (error instanceof Error) Error.captureStackTrace(error)
    throw error
  }
}
