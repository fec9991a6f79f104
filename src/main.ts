import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { requireNode } from './terminal.ts'

requireNode(24)
// A start is mostly compiling; with this, only the first one after an update is. Where the folder cannot be written, it is
// read, or does nothing.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/compiled'))
await import('./serve.ts')
