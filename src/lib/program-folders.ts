/**
 * Where the operator says that the servers' programs are. It holds for all that an operation starts, at whatever depth,
 * and for that operation only: a program may run several at once, with a configuration each.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

/** Absolute paths; undefined: wherever they are found. */
export interface ProgramFolders {
  readonly postgres: string | undefined;
  readonly redis: string | undefined;
}

const current = new AsyncLocalStorage<ProgramFolders>();
const none: ProgramFolders = { postgres: undefined, redis: undefined };

/** Does the work, and all that follows from it, with these folders. */
export function withProgramFolders<T>(folders: ProgramFolders, work: () => T): T {
  return current.run(folders, work);
}

/** Those that hold here. */
export function programFolders(): ProgramFolders {
  return current.getStore() ?? none;
}
