import { readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { readConfig } from '../../src/config.ts'
import { variables } from '../../src/config-variables.ts'
import { build, type Manifest, manifestFaults, readFolder } from './manifests.ts'

const read = (path: string) => readFile(join(import.meta.dirname, '../..', path), 'utf8')
const faults = await manifestFaults()
const folders = ['base', 'monitoring', 'example']
const read3 = await Promise.all(folders.map(readFolder))
const all = read3.flatMap(({ files }) => Object.values(files).flat())
const one = (kind: string): Manifest => {
  const found = all.filter((manifest) => manifest.kind === kind)
  if (found.length !== 1) throw new Error(`${found.length} of the kind ${kind}`)
  return found[0]!
}
const deployment = one('Deployment')
const pod = deployment['spec'].template
const [service] = pod.spec.containers
const [migrate] = pod.spec.initContainers
const portNames: string[] = service.ports.map(({ name }: { name: string }) => name)
const dockerfile = await read('Dockerfile')

t.test('every object matches the schemas of Kubernetes', async (t) => {
  t.ok(all.length >= 9, `${all.length} objects`)
  for (const manifest of all) t.same(faults(manifest), [], `${manifest.kind} ${manifest.metadata.name}`)
  const wrong = structuredClone(deployment)
  wrong['spec'].template.spec.containers[0].livenesProbe = {}
  t.match(faults(wrong), [/additional properties .*livenesProbe/], 'a misspelt field is found')
  t.match(faults({ ...deployment, apiVersion: 'apps/v1beta1' }), [/no kind/])
})

t.test('every file is in its kustomization', async (t) => {
  for (const [index, { files, kustomization }] of read3.entries()) {
    const listed = kustomization.resources.filter((path) => !path.startsWith('..'))
    t.same(listed.sort(), Object.keys(files).sort(), `folder ${folders[index]}`)
  }
})

const example = await build('example')
t.test(
  'kubectl builds the example from the base',
  example ? {} : { skip: 'kubectl is not installed' },
  async (t) => {
    for (const manifest of example!)
      t.same(faults(manifest), [], `${manifest.kind} ${manifest.metadata.name}`)
    const kinds = example!.map(({ kind }) => kind).sort()
    t.same(kinds, [...all.map(({ kind }) => kind), 'ConfigMap'].sort())
    const built = example!.find(({ kind }) => kind === 'Deployment')!
    t.notOk('replicas' in built['spec'], 'the autoscaler sets the replicas')
    for (const { image } of [
      ...built['spec'].template.spec.containers,
      ...built['spec'].template.spec.initContainers
    ])
      t.match(image, /^registry\.example\.org\/latchkey:\d/)
    for (const { kind, metadata } of example!)
      if (kind !== 'Namespace') t.equal(metadata.namespace, 'latchkey')
    const { data } = example!.find(({ kind }) => kind === 'ConfigMap')!
    t.match(data, { PUBLIC_URL: /^https:/, METRICS_PORT: '9464' }, 'the settings of the base and the example')
  }
)

/** Returns the settings in a kustomization. */
function literals({ kustomization }: { kustomization: Record<string, unknown> }): Record<string, string> {
  const [generator] = kustomization['configMapGenerator'] as [{ name: string; literals: string[] }]
  t.equal(generator.name, service.envFrom[0].configMapRef.name)
  return Object.fromEntries(generator.literals.map((literal) => literal.split(/=(.*)/s)))
}

/** Returns the environment of a container, with its secrets in files of this test. */
async function environment(t: Test, container: typeof service, secrets: Record<string, string>) {
  const [base, , example] = read3
  const env: Record<string, string> = { ...literals(base!), ...literals(example!) }
  const place = t.testdir()
  for (const { name, value } of container.env) {
    t.match(name, /_FILE$/, 'secrets are in files, not in variables')
    t.ok(
      container.volumeMounts.some(({ mountPath }: { mountPath: string }) =>
        value.startsWith(`${mountPath}/`)
      ),
      value
    )
    env[name] = join(place, value.replaceAll('/', '-'))
    await writeFile(env[name], secrets[basename(value)]!, { mode: 0o600 })
  }
  const names = variables.map(({ name }) => name)
  for (const name of Object.keys(env)) t.ok(names.includes(name), `${name} is a variable of the service`)
  return env
}

t.test('the service takes its settings and secrets from the manifests', async (t) => {
  const secrets = {
    database_url: 'postgres://latchkey_service:x@db.example.org/latchkey',
    root_keys: `2026a:${Buffer.alloc(32, 'k').toString('base64')}`,
    admin_password: 'correct horse battery'
  }
  const config = readConfig(await environment(t, service, secrets))
  t.match(config, {
    databaseUrl: secrets.database_url,
    adminPassword: secrets.admin_password,
    adminEmail: 'admin@example.org',
    migrationDatabaseUrl: undefined,
    metricsHost: '0.0.0.0',
    trustProxy: 1,
    unknownVariables: []
  })
  const port = (name: string) =>
    service.ports.find((one: { name: string }) => one.name === name).containerPort as number
  t.equal(port('metrics'), config.metricsPort)
  t.match(dockerfile, new RegExp(`^EXPOSE ${port('http')}$`, 'm'))
  t.match(dockerfile, ` PORT=${port('http')}`)
  t.ok(readConfig(await environment(t, migrate, secrets)).databaseUrl)
  const owner = migrate.env.find(({ name }: { name: string }) => name === 'DATABASE_URL_FILE').value
  t.notOk(
    service.volumeMounts.some(({ mountPath }: { mountPath: string }) => owner.startsWith(`${mountPath}/`)),
    "the owner's password is not in the service's container"
  )
  t.same(migrate.command.slice(0, 4), ['node', 'src/cli.ts', 'migrate', '--grant-to'])
})

t.test('secrets are mounted with permissions that the service accepts', async (t) => {
  const page = await read('docs/operations/kubernetes.md')
  for (const { secret } of pod.spec.volumes) {
    t.equal(secret.defaultMode, 0o440, "readable by root and the pod's group")
    t.match(page, `kubectl create secret generic ${secret.secretName} `)
  }
  t.equal(pod.spec.securityContext.fsGroup, 1000)
})

t.test('the pod meets the restricted profile', async (t) => {
  t.equal(one('Namespace').metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted')
  const { securityContext, ...spec } = pod.spec
  t.match(securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
  t.match(dockerfile, `USER ${securityContext.runAsUser}:${securityContext.runAsGroup}`)
  for (const container of [service, migrate]) {
    t.same(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] }
    })
    t.ok(container.resources.requests.cpu && container.resources.limits.memory, 'resources')
  }
  t.notOk(spec.hostNetwork || spec.hostPID || spec.hostIPC)
  t.equal(spec.automountServiceAccountToken, false)
  t.equal(one('ServiceAccount')['automountServiceAccountToken'], false)
  t.equal(spec.serviceAccountName, one('ServiceAccount').metadata.name)
})

t.test('probes call routes of the service, and a stop leaves time for requests', async (t) => {
  const { paths } = parse(await read('openapi.yaml'))
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
    const { path, port } = service[probe].httpGet
    t.ok(paths[path]?.get, `${probe}: ${path}`)
    t.equal(port, 'http')
  }
  t.equal(service.readinessProbe.httpGet.path, '/readyz')
  t.equal(service.livenessProbe.httpGet.path, '/livez', 'an unavailable database does not restart pods')
  const [, limit = ''] = /SHUTDOWN_TIMEOUT_MS = ([\d_]+)/.exec(await read('src/server.ts')) ?? []
  const seconds = service.lifecycle.preStop.sleep.seconds + Number(limit.replace('_', '')) / 1_000
  t.ok(pod.spec.terminationGracePeriodSeconds > seconds, `${seconds} s`)
  t.same(deployment['spec'].strategy.rollingUpdate, { maxUnavailable: 0, maxSurge: 1 })
})

t.test('selectors match the pods, and ports have the names in the container', async (t) => {
  const { labels } = pod.metadata
  const policy = one('NetworkPolicy')['spec']
  const selectors = [
    deployment['spec'].selector.matchLabels,
    one('Service')['spec'].selector,
    one('PodDisruptionBudget')['spec'].selector.matchLabels,
    policy.podSelector.matchLabels,
    ...pod.spec.topologySpreadConstraints.map(
      (spread: { labelSelector: { matchLabels: object } }) => spread.labelSelector.matchLabels
    )
  ]
  for (const selector of selectors) t.match(labels, selector)
  t.match(one('Service').metadata.labels, one('ServiceMonitor')['spec'].selector.matchLabels)
  t.match(one('HorizontalPodAutoscaler')['spec'].scaleTargetRef, {
    kind: 'Deployment',
    name: deployment.metadata.name
  })

  const servicePorts = one('Service')['spec'].ports
  for (const { name, targetPort } of servicePorts) t.ok(portNames.includes(targetPort), name)
  for (const { port } of one('ServiceMonitor')['spec'].endpoints)
    t.ok(
      servicePorts.some(({ name }: { name: string }) => name === port),
      port
    )
  const { backend } = one('Ingress')['spec'].rules[0].http.paths[0]
  t.equal(backend.service.name, one('Service').metadata.name)
  t.equal(backend.service.port.name, 'http')
  const open = policy.ingress.flatMap(({ ports }: { ports: { port: string }[] }) =>
    ports.map(({ port }) => port)
  )
  t.same(open.sort(), [...portNames].sort())
  for (const { from } of policy.ingress) t.ok(from?.length, 'the sources are limited')
  t.same(policy.policyTypes, ['Ingress', 'Egress'])
  t.equal(one('Ingress')['spec'].tls[0].hosts[0], new URL(literals(read3[2]!)['PUBLIC_URL']!).host)
})
