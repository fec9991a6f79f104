/** The languages that generators need, how to see that they are there, and that their registry answers. */
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

/** One row of the matrix. Every command runs in the same empty folder, into which `program` is copied. */
export interface Generator {
  /** The heading of `docs/how-to/clients.md` under which its commands stand. */
  name: string
  /** Makes the client with the jar of openapi-generator, which needs Java whatever the client is in. */
  jar?: boolean
  /** What the client is compiled and run by; without one it is only generated. */
  toolchain?: keyof typeof TOOLCHAINS
  /** A folder of `test/sdk/round-trips`. */
  program?: string
  compile?: string[]
  run?: string
  /** Added to the documented command that generates. */
  strictly?: string
  /** Warnings that cost nothing, each with its reason beside it. */
  warnings?: RegExp[]
}

/**
 * Of openapi-generator: 3.1, names that a language keeps for itself, and that `status` of resolve's results
 * is not required, because its clients for Rust would look for it twice.
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
    // It checks an id by its format alone, writes header names as Go does, and does not compare a problem's
    // status with the answer's.
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
    // It formats what it made by a program that need not be there.
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
    // A value is of any type, as the document says.
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
