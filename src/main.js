// JavaScript, because Node would load its 16 MB type stripper to run TypeScript here, before the compile
// cache is on.
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// Most of a start is compiling: with the cache, only the first start after an update compiles. Without write
// access to the directory, the cache is read-only or off.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/compiled'))
const { requireNode } = await import('./terminal.ts')
requireNode(24)
await import('./server.ts')
