/** Prints a line for the operator. The log, which is for programs, goes to the same stream. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** How people call the command line: in a clone through npx, from the npm package by its name. */
export const COMMAND = import.meta.filename.endsWith('.ts') ? 'npx latchkey' : 'latchkey'

/** Prints text that cannot be printed again. If that fails, ends the process with the line `lost`. */
export function printOnce(text: string, lost: string): void {
  process.stdout.write(`${text}\n`, (error) => {
    if (error) fail(lost)
  })
}

/** Quotes a word for a POSIX shell. */
export function shellWord(text: string): string {
  return /^[\w.+@/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** Prints the reason in one line, and ends the process with code 1. */
export function fail(line: string): never {
  process.stderr.write(`latchkey: ${line}\n`)
  process.exit(1)
}

/** Ends the process if it runs on an earlier major version of Node.js. */
export function requireNode(major: number): void {
  if (Number(process.versions.node.split('.')[0]) >= major) return
  fail(
    `Node.js ${major} or later is required, and this is ${process.version}. "npm ci" without ` +
      '--ignore-scripts installs one for "npm start" and "npx latchkey".'
  )
}
