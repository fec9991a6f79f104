import type { Command } from './command.ts'

export const startCommand: Command = {
  description: 'start the service; Ctrl-C stops it',
  details: `Runs until Ctrl-C, SIGTERM or the end of the terminal. The option
\`--end-with-parent\` is for launchers, such as a shell, that end without passing on a signal.`,
  options: ['end-with-parent'],
  example: 'latchkey start',
  async run() {
    // Imported here, because the other commands start faster without the whole service.
    await import('../server.ts')
  }
}
