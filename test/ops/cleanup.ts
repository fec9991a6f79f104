// Waits until its standard input closes, which happens when the test ends in any way. Then kills every
// process whose working directory is in the given directory, and removes the directory.
import { readdirSync, readlinkSync, rmSync } from 'node:fs'

const directory = process.argv[2]!
process.chdir('/')
process.stdin.resume().on('end', () => {
  // A process may start another one between the listing and the kill.
  for (let emptyRounds = 0; emptyRounds < 3; emptyRounds++) {
    for (const pid of workingIn(directory)) {
      emptyRounds = -1
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
    // It has exited, or belongs to another user.
    return ''
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has exited.
  }
}
