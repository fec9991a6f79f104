/** The values of `target_session_attrs` that suit a service that writes. */
const WRITABLE = ['any', 'read-write', 'primary']

/**
 * Returns a URL for each host of a connection URL, in order, as libpq reads it: hosts and ports are lists
 * with commas between, in the authority or as `host` and `port`, and one port is for all hosts. Returns
 * undefined for a text that is no such URL. Throws a RangeError, which does not repeat the text, if the hosts
 * and ports do not match, or if the service cannot use the kind of server that the URL asks for.
 */
export function urlsOfHosts(text: string): string[] | undefined {
  const parts = /^(postgres(?:ql)?:\/\/)([^/?#]*@)?([^/?#@]*)([^?#]*)(\?[^#]*)?$/i.exec(text)
  if (!parts || !isEscaped(text)) return undefined
  const [, scheme = '', user = '', authority = '', path = '', query] = parts
  const params = new URLSearchParams(query)
  requireWritable(params.get('target_session_attrs'))
  const { hosts, ports } = listsOf(authority, params)
  if (!hosts.every(isHost) || !ports.every(isPort)) return undefined
  if (ports.length !== 1 && ports.length !== hosts.length)
    throw new RangeError(`it has ${hosts.length} hosts but ${ports.length} ports`)
  const urls = hosts.map((host, index) => {
    const port = ports.length === 1 ? ports[0] : ports[index]
    const own = new URLSearchParams(params)
    for (const name of ['host', 'port', 'target_session_attrs']) own.delete(name)
    if (isVerified(own)) own.set('sslmode', 'verify-full')
    if (host) own.set('host', host)
    if (port) own.set('port', port)
    return `${scheme}${user}${path || '/'}?${own}`.replaceAll(' ', '%20')
  })
  // `pg` reads such a URL with a placeholder for its host.
  return urls.every((url) => URL.canParse(url.replace('@/', '@host/'))) ? urls : undefined
}

/** Returns false for a `%` that does not begin an escape in UTF-8, such as an unescaped one in a password. */
function isEscaped(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

/** True for a mode that `pg` treats as `verify-full`, with a warning of several lines. */
const isVerified = (params: URLSearchParams) =>
  /^(prefer|require|verify-ca)$/.test(params.get('sslmode') ?? '') && params.get('uselibpqcompat') !== 'true'

function requireWritable(wanted: string | null): void {
  if (wanted === null || WRITABLE.includes(wanted)) return
  throw new RangeError(
    `target_session_attrs must be one of ${WRITABLE.join(', ')}, because the service writes`
  )
}

function listsOf(authority: string, params: URLSearchParams): { hosts: string[]; ports: string[] } {
  const pairs = authority.split(',').map((entry) => {
    const [, host = '', port = ''] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(entry) ?? ['', '?']
    return { host: decodeURIComponent(host.replace(/^\[(.*)\]$/, '$1')), port }
  })
  return {
    hosts: params.get('host')?.split(',') ?? pairs.map(({ host }) => host),
    ports: params.get('port')?.split(',') ?? pairs.map(({ port }) => port)
  }
}

const isHost = (host: string) => host.startsWith('/') || /^[\p{L}\p{N}_.:%-]*$/u.test(host)
const isPort = (port: string) => port === '' || (/^\d{1,5}$/.test(port) && Number(port) <= 65_535)
