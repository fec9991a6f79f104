import SerializerSelector from '@fastify/fast-json-stringify-compiler'
import { lazy } from './lazy.ts'

const compilers = SerializerSelector()

type Schemas = Record<string, object>
type Serialize = (data: unknown) => string

/**
 * Compiles the serialiser of each answer when it is first sent, with those shared schemas that it refers to: all of
 * them, for all answers, take most of a start's time and memory.
 */
export function buildSerializer(externalSchemas: Schemas, options: object) {
  return (route: { schema: object }): Serialize => {
    const compile = () =>
      compilers(referredTo(route.schema, externalSchemas) as never, options as never)(route as never)
    return lazy(compile as () => Serialize)
  }
}

function referredTo(schema: object, all: Schemas, found: Schemas = {}): Schemas {
  for (const [, id] of JSON.stringify(schema).matchAll(/"\$ref":"([^"#]+)#?"/g)) {
    const component = all[id!]
    if (!component || found[id!]) continue
    found[id!] = component
    referredTo(component, all, found)
  }
  return found
}
