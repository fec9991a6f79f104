import { writeSync } from 'node:fs'

/** Takes the log's lines. */
export interface LogStream {
  write(line: string): void
}

/**
 * Standard output, written once for all lines of one turn of the event loop: a busy service would else spend more on
 * writing its lines than on making them. What is left is written when the process exits.
 */
export function standardOutput(): LogStream {
  let lines = ''
  const flush = () => {
    const text = lines
    lines = ''
    if (text !== '') process.stdout.write(text)
  }
  // Whoever reads the log may go away and come back; the service does not end for that.
  process.stdout.on('error', () => {})
  process.on('exit', () => {
    if (lines === '') return
    try {
      // No turn comes any more.
      writeSync(1, lines)
    } catch {
      // Nobody reads it.
    }
  })
  return {
    write(line) {
      if (lines === '') setImmediate(flush)
      lines += line
    }
  }
}
