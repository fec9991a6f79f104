import { connect } from 'node:net'

/** Requests that an attacker repeats on each of its connections. */
export interface Attack {
  port: number
  connections: number
  /** The bytes of the requests, which are sent in turn. */
  requests: string[]
  /** False for a client that sends one request and does not read the response. */
  reads: boolean
}

// Not the address of the honest caller, whose limit the attacker must not use up.
const ADDRESS = '127.0.0.2'

/** Sends the next request after the response to the last one, and parses only the framing of responses. */
function run({ port, requests, reads }: Attack, first: number): void {
  let next = first
  const open = () => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: ADDRESS, noDelay: true })
    const send = () => socket.write(requests[next++ % requests.length]!)
    socket.on('connect', send)
    // Reconnects after a pause if the service closes the connection.
    socket.on('error', () => {}).on('close', () => setTimeout(open, 50))
    if (!reads) return socket.pause()
    let head = ''
    let missing = -1
    let tail = ''
    return socket.on('data', (chunk: Buffer) => {
      if (missing < 0 && !tail) {
        head += chunk.toString('latin1')
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return
        process.send?.(Number(head.slice(9, 12)))
        const length = /content-length: (\d+)/i.exec(head)?.[1]
        const received = head.length - end - 4
        if (length === undefined) tail = head.slice(-5)
        else missing = Number(length) - received
        head = ''
      } else if (tail) tail = (tail + chunk.subarray(-5).toString('latin1')).slice(-5)
      else missing -= chunk.length
      if (missing === 0 || tail === '0\r\n\r\n') {
        missing = -1
        tail = ''
        send()
      }
    })
  }
  open()
}

process.on('message', (attack: Attack) => {
  for (let i = 0; i < attack.connections; i++) run(attack, i)
})
process.on('disconnect', () => process.exit())
