import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** Returns a shell function with the parts of age-keygen that the pages use, or '' if it is installed. */
export function ageKeygen(): string {
  try {
    execFileSync('age-keygen', ['--version'])
    return ''
  } catch {
    return AGE_KEYGEN
  }
}

const AGE_KEYGEN = `
age-keygen() { (cd "${root}" && node --input-type=module -e "
  import { readFileSync, writeFileSync } from 'node:fs'
  import { generateX25519Identity, identityToRecipient } from 'age-encryption'
  const [option, file] = process.argv.slice(1)
  if (option === '-o') writeFileSync(file, await generateX25519Identity(), { mode: 0o600 })
  else console.log(await identityToRecipient(readFileSync(file, 'utf8').trim()))
" -- "$1" "$2"); }
`
