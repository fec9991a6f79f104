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
  process.on('exit', () => {
    // No turn comes any more.
    if (lines !== '') writeSync(1, lines)
  })
  return {
    write(line) {
      if (lines === '') setImmediate(flush)
      lines += line
    }
  }
}
