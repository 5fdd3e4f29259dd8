/** What a request says of whom it is for, whichever operation's it is. Pure. */
import type { Config } from '../../config/config.ts';

/** Undefined: all, or none in particular. */
export function targetOf(request: unknown, config: Pick<Config, 'defaultTarget' | 'targets'>): string | undefined {
  const { target } = request as { target?: unknown };
  if (typeof target === 'string') return target;
  return config.defaultTarget ?? (config.targets.size === 1 ? [...config.targets.keys()][0] : undefined);
}

/** Components, or backups by name; empty: all. */
export function partsOf(request: unknown): string[] {
  const { components, ids } = request as { components?: unknown; ids?: unknown };
  return [components, ids].flatMap((list) =>
    Array.isArray(list) ? list.filter((each): each is string => typeof each === 'string') : [],
  );
}

export function isDryRun(request: unknown): boolean {
  return (request as { dryRun?: unknown }).dryRun === true;
}
