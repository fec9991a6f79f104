// Waits for the end of its standard input, which is the end of the test, however that ends. Then it kills
// every process that works in the directory of its argument, and removes the directory.
import { readdirSync, readlinkSync, rmSync } from 'node:fs'

const directory = process.argv[2]!
process.chdir('/')
process.stdin.resume().on('end', () => {
  // A process may start another one between a look and the kill.
  for (let none = 0; none < 3; none++) {
    for (const pid of workingIn(directory)) {
      none = -1
      kill(pid)
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  process.exit()
})

function workingIn(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => `${workingDirectory(pid)}/`.startsWith(`${directory}/`))
    .map(Number)
}

function workingDirectory(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    // It has ended, or belongs to another user.
    return ''
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
