/** For each language, the commands that check its toolchain and its package registry. */
export const TOOLCHAINS = {
  go: { present: 'go version', registry: 'go list -m golang.org/x/text@latest' },
  java: {
    present: 'java -version && mvn --version',
    registry:
      'mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get -Dartifact=junit:junit:3.8.2'
  },
  node: { present: 'npm --version', registry: 'npm view typescript version' },
  php: {
    present: `php -r 'require "GuzzleHttp/autoload.php"; exit((int) !function_exists("curl_init"));'`,
    registry: 'true'
  },
  python: {
    present: 'python3 -m venv venv',
    registry: 'venv/bin/python -m pip download --no-cache-dir --no-deps -d pip six'
  },
  ruby: { present: `ruby -e 'require "typhoeus"'`, registry: 'true' },
  rust: { present: 'cargo --version', registry: 'cargo info --registry crates-io itoa' }
}

/** A generator to test. All commands run in one new directory, which contains a copy of `program`. */
export interface Generator {
  /** The heading of its commands in `docs/how-to/clients.md`. */
  name: string
  /** True if it is openapi-generator, whose jar needs Java for clients in any language. */
  jar?: boolean
  /** The toolchain that compiles and runs the client. Without one, the client is only generated. */
  toolchain?: keyof typeof TOOLCHAINS
  /** A directory in `test/sdk/round-trips`. */
  program?: string
  compile?: string[]
  run?: string
  /** Options added to the documented command that generates the client. */
  strictly?: string
  /** Expected warnings, with the reason in a comment. */
  warnings?: RegExp[]
}

/**
 * Warnings of openapi-generator about OpenAPI 3.1, about reserved words, and that `status` of resolve results
 * is not required: otherwise its Rust clients would look for it twice.
 */
const USUAL = [
  /OpenAPI 3\.1 support is still in beta/,
  /Renamed to/,
  /Failed to get the schema name: null/,
  /invalid optional definition of status/
]

const TSC = 'tsc --strict --target es2022 --lib es2022,dom,dom.iterable --module node16 --outDir out main.ts'

const MAVEN =
  'mvn -q -B -DskipTests compile dependency:build-classpath -Djava.version=17 -Dmdep.outputFile=classpath'

export const GENERATORS: Generator[] = [
  {
    name: 'Go: oapi-codegen',
    toolchain: 'go',
    program: 'oapi-codegen',
    compile: ['go mod tidy', 'go vet ./...', 'go build -o round-trip .'],
    run: './round-trip'
  },
  {
    name: 'Go: ogen',
    toolchain: 'go',
    program: 'ogen',
    compile: ['go mod tidy', 'go vet ./...', 'go build -o round-trip .'],
    run: './round-trip',
    // It validates ids only by their format, writes header names in Go's form, and does not compare the
    // status in a problem with that of the response.
    warnings: [/String validator cannot be/, /Header name is not canonical/, /Ensuring "status"/]
  },
  {
    name: 'Go: openapi-generator',
    jar: true,
    toolchain: 'go',
    program: 'go',
    compile: ['go mod init example', 'go mod tidy', 'go vet ./...', 'go build -o round-trip .'],
    run: './round-trip',
    warnings: USUAL
  },
  {
    name: 'Python: openapi-python-client',
    toolchain: 'python',
    program: 'openapi-python-client',
    // Does not run the formatter, which may not be installed.
    strictly: `--config <(echo 'post_hooks: []') --fail-on-warning`,
    compile: ['python -m compileall -q latchkey_client'],
    run: 'python round_trip.py'
  },
  {
    name: 'Python: openapi-generator',
    jar: true,
    toolchain: 'python',
    program: 'python',
    compile: ['pip install ./latchkey-python', 'python -m compileall -q latchkey-python/latchkey'],
    run: 'python round_trip.py',
    // In the document, a value has any type.
    warnings: [...USUAL, /Default to typing\.Any/]
  },
  {
    name: 'Python: datamodel-code-generator',
    toolchain: 'python',
    program: 'datamodel-code-generator',
    compile: ['python -m compileall -q latchkey.py'],
    run: 'python round_trip.py'
  },
  {
    name: 'C#',
    jar: true,
    warnings: USUAL
  },
  {
    name: 'Java',
    jar: true,
    toolchain: 'java',
    program: 'java',
    compile: ['mv RoundTrip.java latchkey-java/src/main/java', `cd latchkey-java && ${MAVEN}`],
    run: 'cd latchkey-java && java -cp "target/classes:$(cat classpath)" RoundTrip',
    warnings: USUAL
  },
  {
    name: 'Java: okhttp-gson',
    jar: true,
    toolchain: 'java',
    program: 'java-okhttp',
    compile: ['mv RoundTrip.java latchkey-java/src/main/java', `cd latchkey-java && ${MAVEN}`],
    run: 'cd latchkey-java && java -cp "target/classes:$(cat classpath)" RoundTrip',
    warnings: USUAL
  },
  {
    name: 'Kotlin',
    jar: true,
    toolchain: 'java',
    program: 'kotlin',
    compile: [MAVEN],
    run: 'java -cp "target/classes:$(cat classpath)" RoundTripKt',
    warnings: USUAL
  },
  {
    name: 'PHP',
    jar: true,
    toolchain: 'php',
    program: 'php',
    compile: ['find latchkey-php/lib -name "*.php" -print0 | xargs -0 -n 1 php -l'],
    run: 'php round_trip.php',
    warnings: USUAL
  },
  {
    name: 'Ruby',
    jar: true,
    toolchain: 'ruby',
    program: 'ruby',
    compile: ['find latchkey-ruby/lib -name "*.rb" -print0 | xargs -0 ruby -wc'],
    run: 'ruby round_trip.rb',
    warnings: USUAL
  },
  {
    name: 'Rust',
    jar: true,
    toolchain: 'rust',
    program: 'rust',
    compile: ['cargo build --quiet'],
    run: 'cargo run --quiet',
    warnings: USUAL
  },
  {
    name: 'TypeScript: openapi-typescript',
    toolchain: 'node',
    program: 'openapi-typescript',
    compile: [TSC],
    run: 'node out/main.js'
  },
  {
    name: 'TypeScript: Hey API',
    toolchain: 'node',
    program: 'hey-api',
    compile: [TSC],
    run: 'node out/main.js'
  },
  {
    name: 'TypeScript: orval',
    toolchain: 'node',
    program: 'orval',
    compile: [TSC],
    run: 'node out/main.js'
  },
  {
    name: 'TypeScript: openapi-generator',
    jar: true,
    toolchain: 'node',
    program: 'typescript-fetch',
    compile: [TSC],
    run: 'node out/main.js',
    warnings: USUAL
  }
]
