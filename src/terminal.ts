/** A line for the person at the terminal; the log, on the same stream, is for programs. */
export function tell(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** Ends the process with one line that says why. */
export function fail(line: string): never {
  process.stderr.write(`latchkey: ${line}\n`)
  process.exit(1)
}

/** Ends the process unless it runs on this major version of Node or a later one. */
export function requireNode(major: number): void {
  if (Number(process.versions.node.split('.')[0]) >= major) return
  fail(
    `Node ${major} or later is needed, and this is ${process.version}; "npm ci" brings one, unless with --ignore-scripts.`
  )
}
