// JavaScript, because it runs before the cache is on: a file whose types have to be stripped first would have every start
// load what strips them, 16 MB of it.
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// A start is mostly compiling; with this, only the first one after an update is. Where the folder cannot be written, it is
// read, or does nothing.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/compiled'))
const { requireNode } = await import('./terminal.ts')
requireNode(24)
await import('./server.ts')
