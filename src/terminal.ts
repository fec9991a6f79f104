/** Prints a line for the person at the terminal. The log goes to the same stream and is for programs. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** How people call the command line: in a clone through npx, from the npm package by its name. */
export const COMMAND = import.meta.filename.endsWith('.ts') ? 'npx latchkey' : 'latchkey'

/** Prints text that is printed once, and ends the process with the line `lost` if it cannot be written. */
export function printOnce(text: string, lost: string): void {
  process.stdout.write(`${text}\n`, (error) => {
    if (error) fail(lost)
  })
}

/** A word of a command as a POSIX shell reads it. */
export function shellWord(text: string): string {
  return /^[\w.+@/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** Prints one line that says why, and ends the process with code 1. */
export function fail(line: string): never {
  process.stderr.write(`latchkey: ${line}\n`)
  process.exit(1)
}

/** Ends the process unless it runs on this major version of Node or a later one. */
export function requireNode(major: number): void {
  if (Number(process.versions.node.split('.')[0]) >= major) return
  fail(
    `Node ${major} or later is needed, and this is ${process.version}; "npm ci" installs one, ` +
      'unless it runs with --ignore-scripts.'
  )
}
