/** The scopes and the cookie that the document names. */
export interface Security {
  sessionCookie: string
  personalScopes: readonly string[]
  projectScopes: readonly string[]
}

const codeList = (words: readonly string[]) => words.map((word) => `\`${word}\``).join(', ')

export const SUMMARY = 'A credential store for workflow engines, integration platforms and agents'

export const DESCRIPTION =
  'Stores typed, encrypted credentials, and returns their values to the programs of a project. Sign in ' +
  'with `POST /api/v1/session`, or send an access token as `Authorization: Bearer`. Errors are ' +
  '`application/problem+json` with a stable `code`.'

/** A tag without operations, which /reference shows as a chapter. */
const chapter = (name: string, description: string) => ({ name, description, 'x-traitTag': true })

/** Returns the tags of the document: first the chapters, then the groups of operations. */
export function tagsOf({ personalScopes, projectScopes }: Security) {
  return [
    chapter(
      'Authentication',
      `Users sign in with \`POST /api/v1/session\` and send the session cookie that it sets. A change \
authenticated by the cookie must come from the same site; otherwise you get 403 \`cross-site-request\`.

Programs send an access token as \`Authorization: Bearer\`. There are two kinds:

- A personal token (\`lk_pat_…\`) acts as the user who created it, within its scopes: \
${codeList(personalScopes)}.
- A project token (\`lk_prj_…\`) belongs to a project. It stays valid when the user who created it leaves \
the project. Its scopes: ${codeList(projectScopes)}.

Create both with \`POST /api/v1/access-tokens\`. A token is shown only once. Each operation lists the \
scopes that allow it; any one is enough. Operations without scopes cannot be called with a token.`
    ),
    chapter(
      'Errors',
      `Errors are \`application/problem+json\` (RFC 9457). Each has a \`status\`, a stable \`code\` for \
programs, a sentence for people in \`detail\`, and a \`requestId\`, which is also in the logs and in \
\`X-Request-Id\`. \`type\` is the path of a page that explains the code; \`/docs/problems\` lists all codes.

If the input is invalid, \`errors\` lists up to 50 faults, each with a JSON pointer and what is expected. \
Errors never repeat what you sent.

A resource that does not exist and one that you may not see return the same 404 (in Lightning's format, \
DELETE returns 403). For 429 and 503, \
\`Retry-After\` contains the seconds to wait. \`RateLimit-Remaining\` contains the requests that you have \
left of \`RateLimit-Limit\`, and \`RateLimit-Reset\` the seconds until the count starts again.

Later versions may add codes. Handle an unknown code by its status.

The Lightning-compatible API returns errors in the format of OpenFn Lightning. Some requests match no \
operation: an unknown path returns 404 \`no-such-route\`, another method returns 405 with \`Allow\`, and a \
request that cannot be read returns 400, 408, 414 or 431.`
    ),
    chapter(
      'Requests',
      `Bodies are JSON in UTF-8, at most 1 MiB. Properties are not converted: an unknown property or a \
property of another type returns 400. Query parameters and headers are converted to the type in their \
schema; an unknown query parameter returns 400. The Lightning-compatible API ignores unknown properties \
and parameters.`
    ),
    chapter(
      'Revisions',
      `Each change of a credential increments its \`revision\`, which responses carry as \`ETag\`. With \
\`If-Match\`, the update is applied only if the revision matches; otherwise you get 412. With \
\`If-None-Match\`, a read returns 304 if you already have the current revision.`
    ),
    chapter(
      'Retries',
      `Send an \`Idempotency-Key\` with a create request to make retries safe. If you send the same request \
with the same key within 24 hours, you get the first response again, with \`Idempotency-Replayed: true\`. A \
different request with that key returns 422. Each user has their own keys.`
    ),
    chapter(
      'Lists',
      `Lists return \`data\`, \`total\`, \`page\`, \`pageSize\` and \`nextCursor\`. Request a \`page\`, \
starting at 1, or send the \`nextCursor\` of the previous response as \`cursor\`. With a cursor, rows that \
are added or removed in the meantime cause no other row to be skipped or repeated. \`nextCursor\` is null \
on the last page.`
    ),
    { name: 'Session', description: 'Sign in and out, and manage your sessions on other devices.' },
    { name: 'Projects', description: 'Projects, their members and the roles of the members.' },
    { name: 'Credential types', description: 'A type defines the fields of its credentials.' },
    {
      name: 'App credentials',
      description:
        'Credentials, their values and their projects. Two operations return secret values: `reveal` to ' +
        'the owner, and `resolve` to the project tokens of a project.'
    },
    {
      name: 'Access tokens',
      description: 'Tokens for programs. A personal token acts as a user, a project token for a project.'
    },
    { name: 'Users', description: 'The users of the service.' },
    { name: 'Audit', description: 'The log of changes, reads of secrets, sign-ins and denied requests.' },
    {
      name: 'Lightning',
      description:
        'The credential API of OpenFn Lightning, on the same data. The response to a create contains the ' +
        'values that were sent.'
    },
    { name: 'Health', description: 'Probes for load balancers and orchestrators.' }
  ]
}
