/** How many environments a credential may have. */
export const MAX_ENVIRONMENTS = 32
/** Bytes of all its values together, as JSON: each change seals all of them anew. */
export const MAX_VALUE_BYTES = 1024 * 1024
