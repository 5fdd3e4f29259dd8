/** The environment of this process, for those that pass it in. */
import type { Environment } from './discover.ts';

/** A live view, not a copy. */
export function processEnvironment(): Environment {
  return process.env;
}
