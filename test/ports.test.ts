import { connect } from 'node:net'
import t from 'tap'
import { requireFreePorts } from '../src/ports.ts'
import { freePort } from './helpers/free-port.ts'

t.test('a client that connects to a port while it is checked does not delay the start', async (t) => {
  for (let i = 0; i < 20; i++) {
    const [port, metricsPort] = [await freePort(), await freePort()]
    // A name takes time to look up. Meanwhile the first port is open.
    const checked = requireFreePorts({ host: '127.0.0.1', port, metricsHost: 'localhost', metricsPort })
    const client = connect(port, '127.0.0.1').on('error', () => {})
    t.teardown(() => client.destroy())
    await checked
  }
})
