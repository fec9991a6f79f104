/** Text that is already HTML. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export type Content = Html | string | number | undefined | Content[]

/** A template of HTML. Escapes its values, except those that are HTML themselves. */
export function html(strings: TemplateStringsArray, ...values: Content[]): Html {
  return new Html(String.raw({ raw: strings }, ...values.map(textOf)))
}

function textOf(content: Content): string {
  if (content === undefined) return ''
  if (content instanceof Html) return content.text
  if (Array.isArray(content)) return content.map(textOf).join('')
  return String(content).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** Renders the Markdown that descriptions use: paragraphs, lists and code. */
export function markdown(text = ''): Html {
  const blocks = text.split(/\n{2,}/).filter((block) => block.trim() !== '')
  return html`${blocks.map((block) =>
    block.startsWith('- ')
      ? html`<ul>${block
          .slice(2)
          .split(/\n- /)
          .map((item) => html`<li>${code(item)}</li>`)}</ul>`
      : html`<p>${code(block)}</p>`
  )}`
}

/** Renders a sentence with code between backquotes. */
export function code(text = ''): Html {
  return html`${text.split('`').map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : part))}`
}
