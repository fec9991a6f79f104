import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { type IncomingHttpHeaders, request as plain } from 'node:http'
import { request as secure } from 'node:https'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { eventually } from '../helpers/eventually.ts'
import { freePort } from '../helpers/free-port.ts'
import type { Bed, Daemon } from './bed.ts'

const execute = promisify(execFile)
export const HOST = 'latchkey.example.org'

export interface Answered {
  status: number
  headers: IncomingHttpHeaders
  text: string
}

export interface Sent {
  method?: string
  headers?: Record<string, string>
  body?: string
  /** The loopback address that the client connects from. */
  from?: string
}

export interface RunningProxy {
  daemon: Daemon
  httpPort: number
  /** Sends a request over TLS. */
  send(path: string, options?: Sent): Promise<Answered>
  /** Connects over TLS. */
  connect(): TLSSocket
  /** Sends a request to a port without TLS. */
  sendPlain(port: number, path: string, options?: Sent): Promise<Answered>
}

const example = (name: string) => readFile(join(import.meta.dirname, '../../deploy/proxies', name), 'utf8')

/** Creates a test authority, and a certificate for `HOST`. Returns `crt` and `key` as paths, `ca` as text. */
async function certificate(bed: Bed) {
  const at = (name: string) => join(bed.directory, name)
  const openssl = (...args: string[]) => bed.run('openssl', args)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  await openssl(
    'req',
    '-x509',
    ...key,
    '-days',
    '1',
    '-subj',
    '/CN=Test',
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.crt')
  )
  await openssl('req', ...key, '-subj', `/CN=${HOST}`, '-keyout', at('site.key'), '-out', at('site.csr'))
  const names = await bed.write('names', `subjectAltName=DNS:${HOST}\n`)
  await openssl(
    ...['x509', '-req', '-days', '1', '-in', at('site.csr'), '-CA', at('ca.crt'), '-CAkey', at('ca.key')],
    ...['-CAcreateserial', '-extfile', names, '-out', at('site.crt')]
  )
  return { crt: at('site.crt'), key: at('site.key'), ca: (await execute('cat', [at('ca.crt')])).stdout }
}

type Ports = { http: number; https: number; service: number }
type Files = { crt: string; key: string }

/** Starts each proxy with its file in deploy/proxies, but with the ports and the certificate of the test. */
const STARTS: Record<string, (bed: Bed, ports: Ports, files: Files) => Promise<Daemon>> = {
  async nginx(bed, ports, files) {
    const site = (await example('nginx.conf'))
      .replace('listen 80;', `listen 127.0.0.1:${ports.http};`)
      .replace('listen 443 ', `listen 127.0.0.1:${ports.https} `)
      .replace('127.0.0.1:8080', `127.0.0.1:${ports.service}`)
      .replace('/etc/nginx/latchkey.crt', files.crt)
      .replace('/etc/nginx/latchkey.key', files.key)
    const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    const places = kinds.map((kind) => `${kind}_temp_path ${join(bed.directory, kind)};`)
    const main = `pid ${join(bed.directory, 'nginx.pid')}; daemon off; error_log stderr warn; events {}
      http { access_log off; include /etc/nginx/mime.types; ${places.join(' ')}
      include ${await bed.write('site.conf', site)}; }`
    return bed.start('nginx', 'nginx', ['-e', 'stderr', '-c', await bed.write('nginx.conf', main)])
  },
  async caddy(bed, ports, { crt, key }) {
    const file = (await example('Caddyfile'))
      .replace('127.0.0.1:8080', `127.0.0.1:${ports.service}`)
      .replace('{\n\tservers', `{\nadmin off\nhttp_port ${ports.http}\nhttps_port ${ports.https}\n\tservers`)
      .replace(`${HOST} {`, `${HOST} {\ntls ${crt} ${key}`)
    const args = ['run', '--adapter', 'caddyfile', '--config', await bed.write('Caddyfile', file)]
    return bed.start('caddy', 'caddy', args, { HOME: bed.directory, XDG_DATA_HOME: bed.directory })
  }
}
export const PROXIES = Object.keys(STARTS)

export async function startReverseProxy(bed: Bed, name: string, servicePort: number): Promise<RunningProxy> {
  const files = await certificate(bed)
  const ports = { http: await freePort(), https: await freePort(), service: servicePort }
  const daemon = await STARTS[name]!(bed, ports, files)
  const send = (path: string, options: Sent = {}) => ask(path, options, { port: ports.https, ca: files.ca })
  const isUp = () =>
    send('/livez').then(
      ({ status }) => status === 200,
      () => false
    )
  await eventually(isUp, `${name} is up`, 30_000).catch(async (error) => {
    throw new Error(`${error.message}: ${await daemon.output()}`)
  })
  return {
    daemon,
    httpPort: ports.http,
    send,
    connect: () =>
      connect({ host: '127.0.0.1', port: ports.https, ca: files.ca, servername: HOST }).on('error', () => {}),
    sendPlain: (port, path, options = {}) => ask(path, options, { port })
  }
}

function ask(path: string, sent: Sent, { port, ca }: { port: number; ca?: string }): Promise<Answered> {
  const { method = 'GET', headers = {}, body, from = '127.0.0.1' } = sent
  const all = { host: HOST, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers }
  const options = { host: '127.0.0.1', port, path, method, headers: all, localAddress: from, agent: false }
  return new Promise((resolve, reject) => {
    const request = ca ? secure({ ...options, ca, servername: HOST }) : plain(options)
    request.on('error', reject).on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('error', reject).on('data', (chunk) => chunks.push(chunk))
      response.on('end', () => {
        const bytes = Buffer.concat(chunks)
        const text = (response.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString()
        resolve({ status: response.statusCode!, headers: response.headers, text })
      })
    })
    request.end(body)
  })
}
