import type { Command } from './command.ts'

export const startCommand: Command = {
  description: 'start the service; Ctrl-C stops it',
  options: ['end-with-parent'],
  async run() {
    // Imported here, because the other commands start faster without the whole service.
    await import('../server.ts')
  }
}
