/** The scopes and the cookie that the document names. */
export interface Security {
  sessionCookie: string
  personalScopes: readonly string[]
  projectScopes: readonly string[]
}

const codeList = (words: readonly string[]) => words.map((word) => `\`${word}\``).join(', ')

export const SUMMARY = 'A credential store for workflow engines, integration platforms and agents'

export const DESCRIPTION =
  'Stores typed, encrypted credentials of people, and gives their values to the machines of a project. ' +
  'Sign in with `POST /api/v1/session`, or send an access token as `Authorization: Bearer`. Errors are ' +
  '`application/problem+json` with a stable `code`.'

/** A tag without operations, which the reading view shows as a chapter. */
const chapter = (name: string, description: string) => ({ name, description, 'x-traitTag': true })

/** Returns the tags of the document: first the chapters, then the groups of operations. */
export function tagsOf({ personalScopes, projectScopes }: Security) {
  return [
    chapter(
      'Authentication',
      `People sign in with \`POST /api/v1/session\` and send the cookie that it sets. A change by cookie has \
to come from the same site, or is refused with 403 \`cross-site-request\`.

Programs send \`Authorization: Bearer lk_pat_…\`, a personal access token. It acts as the user who created \
it, within its scopes: ${codeList(personalScopes)}.

Machines of a project send \`Authorization: Bearer lk_prj_…\`, a project token. It belongs to the project \
and stays valid when the user who created it leaves. Its scopes: ${codeList(projectScopes)}.

Users create both kinds of token with \`POST /api/v1/access-tokens\`. A token is shown once. Each operation \
lists the scopes that allow it; any one is enough. Operations without scopes take no token.`
    ),
    chapter(
      'Errors',
      `Errors are \`application/problem+json\` (RFC 9457): a \`status\`, a stable \`code\` for programs, a \
sentence for people, and the \`requestId\` that is also in the logs and in \`X-Request-Id\`. \`type\` is \
the path of a page that explains the code; \`/docs/problems\` lists all. Invalid input lists all of its \
\`errors\`, each with a JSON pointer and what is expected. Errors never repeat what was sent.

What does not exist and what you may not see are the same 404. 429 and 503 say in \`Retry-After\` when to \
try again; \`RateLimit-Limit\`, \`RateLimit-Remaining\` and \`RateLimit-Reset\` say how many requests are \
left for how many seconds.

A later version may add codes. Treat a code that you do not know by its status.

The Lightning operations answer in the form that Lightning’s clients read. Some requests reach no \
operation: an unknown path is 404 \`no-such-route\`, another method is 405 with \`Allow\`, and what cannot \
be read is 400, 408, 414 or 431.`
    ),
    chapter(
      'Requests',
      `Bodies are JSON in UTF-8, at most 1 MiB. Types are not converted: a property that is unknown or of \
another type is 400. Query strings and headers are converted to the type of their schema; an unknown query \
parameter is 400. The Lightning operations ignore what they do not know.`
    ),
    chapter(
      'Revisions',
      `A credential has a \`revision\` that grows with each change. Answers carry it as \`ETag\`. With \
\`If-Match\`, a change is applied only if the revision matches; otherwise you get 412. With \
\`If-None-Match\`, a read answers 304 while the revision is the one that you have.`
    ),
    chapter(
      'Retries',
      `Send an \`Idempotency-Key\` with a create to make retries safe. The same request with the same key, \
by the same caller within 24 hours, gets the first answer again with \`Idempotency-Replayed: true\`. Another \
request with that key is 422.`
    ),
    chapter(
      'Lists',
      `Lists answer \`data\`, \`total\`, \`page\`, \`pageSize\` and \`nextCursor\`. Ask for a \`page\`, from \
1, or send the \`nextCursor\` of the answer before as \`cursor\`: rows that come and go in between are then \
neither missed nor repeated. \`nextCursor\` is null on the last page.`
    ),
    { name: 'Session', description: 'Sign in and out, and manage the sessions on other devices.' },
    { name: 'Access tokens', description: 'Tokens for programs and for the machines of a project.' },
    { name: 'Users', description: 'The people who can sign in.' },
    { name: 'Projects', description: 'Projects, their members and the roles of these.' },
    { name: 'Credential types', description: 'A type defines the fields of its credentials.' },
    {
      name: 'App credentials',
      description:
        'Credentials, their values and their projects. Secret values are returned by `reveal` to the owner ' +
        'and by `resolve` to the machines of a project, and by no other operation here.'
    },
    { name: 'Audit', description: 'The log of changes, reads of secrets, sign-ins and denied requests.' },
    {
      name: 'Lightning',
      description:
        'The credential API of OpenFn Lightning on the same data. Creating a credential returns its body, ' +
        'to the creator.'
    },
    { name: 'Health', description: 'Probes for a load balancer or an orchestrator.' }
  ]
}
