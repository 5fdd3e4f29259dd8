/** Where each value came from, and the overlaying of one source of values over another. */

/** One value and its origin. `path` is dotted: `targets.main.postgres.url`. */
export interface Layer {
  readonly path: string;
  readonly value: unknown;
  /** Environment name (with its file, if it came from one) or flag. */
  readonly origin: string;
}

export type Raw = Record<string, unknown>;

/** Origin of the value at a path: its own, else that of the nearest object around it, else undefined (a default). */
export function originOf(origins: ReadonlyMap<string, string>, path: string): string | undefined {
  for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('.')))) {
    const origin = origins.get(at);
    if (origin !== undefined) return origin;
  }
  return undefined;
}

/** Records the origin of every value inside a file's document. */
export function recordOrigins(origins: Map<string, string>, value: unknown, origin: string, path = ''): void {
  if (path !== '') origins.set(path, origin);
  if (!isRaw(value)) return;
  for (const [key, inner] of Object.entries(value)) {
    recordOrigins(origins, inner, origin, path === '' ? key : `${path}.${key}`);
  }
}

/** Puts a value over what is there, making the objects on the way; a whole object replaces what was inside. */
export function overlay(document: Raw, origins: Map<string, string>, layer: Layer): void {
  const keys = layer.path.split('.');
  const last = keys.pop() ?? '';
  let at = document;
  for (const key of keys) {
    const found = at[key];
    const inner: Raw = isRaw(found) ? found : {};
    at[key] = inner;
    at = inner;
  }
  at[last] = layer.value;
  for (const path of origins.keys()) if (path.startsWith(`${layer.path}.`)) origins.delete(path);
  origins.set(layer.path, layer.origin);
}

/** A JSON object: no list, no null. */
export function isRaw(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
