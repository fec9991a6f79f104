#!/usr/bin/env node
// The command of the npm package. It also runs on older versions of Node, to say which one it needs.
import * as nodeModule from 'node:module'
import { fileURLToPath } from 'node:url'

const NODE = 24

const fail = (message) => {
  process.stderr.write(`latchkey: ${message}\n`)
  process.exit(1)
}

if (Number(process.versions.node.split('.')[0]) < NODE) {
  fail(
    `Node.js ${NODE} or later is required, and this is ${process.version}. Install it, or let npx ` +
      `fetch it: npx -p node@${NODE} -p <latchkey tarball> latchkey ${process.argv.slice(2).join(' ')}`
  )
}

// Most of the start time is compilation. With the cache, only the first start compiles. Without write access
// to the directory, the cache is off.
nodeModule.enableCompileCache(fileURLToPath(new URL('.cache/compiled', import.meta.url)))

try {
  await import('@node-rs/argon2')
} catch {
  fail('the native part of @node-rs/argon2 is not installed: install without --omit=optional.')
}

// npm runs the command in a shell, which exits on SIGTERM without forwarding it.
if (process.env.npm_lifecycle_event === 'npx' && process.argv[2] === 'start')
  process.argv.push('--end-with-parent')

await import('./src/cli.js')
