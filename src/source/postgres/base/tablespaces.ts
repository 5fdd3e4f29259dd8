/**
 * Where the tablespaces of a base backup go: each into a folder beside the new data directory, or where it is
 * mapped to. Never by default to where it lay: the cluster that was backed up may live there.
 */
import { LifeboatError } from '../../../lib/errors.ts';
import type { BaseFacts } from './facts.ts';

export interface PlacedTablespace {
  readonly oid: string;
  readonly name: string;
  /** Where it lay. */
  readonly from: string;
  /** Absolute: where it goes. */
  readonly to: string;
  readonly bytes: number;
}

/**
 * `map`: old path or name → new path, absolute. Throws LifeboatError `usage` for what is no tablespace, and for places
 * within another.
 */
export function placeTablespaces(
  { tablespaces }: BaseFacts,
  dataDir: string,
  map: ReadonlyMap<string, string> = new Map(),
): PlacedTablespace[] {
  const unknown = [...map.keys()].find((old) => !tablespaces.some(({ name, path }) => name === old || path === old));
  if (unknown !== undefined) {
    throw new LifeboatError('usage', `the base backup has no tablespace ${unknown}`, {
      state: 'nothing was changed',
      hint:
        tablespaces.length === 0
          ? 'it has none outside of the data directory'
          : `it has ${tablespaces.map(({ name, path }) => `${name} (${path})`).join(', ')}`,
    });
  }
  const placed = tablespaces.map(({ oid, name, path, bytes }) => ({
    oid,
    name,
    from: path,
    to: map.get(path) ?? map.get(name) ?? `${dataDir}-tablespaces/${oid}`,
    bytes,
  }));
  const all = [
    { what: 'the data directory', to: dataDir },
    ...placed.map(({ name, to }) => ({ what: `tablespace ${name}`, to })),
  ];
  for (const each of all) {
    const around = all.find((other) => other !== each && `${each.to}/`.startsWith(`${other.to}/`));
    if (around !== undefined) {
      throw new LifeboatError('usage', `${each.what} cannot go to ${each.to}: ${around.what} goes to ${around.to}`, {
        state: 'nothing was changed',
        hint: 'name a folder of its own by --tablespace-map OLD=NEW',
      });
    }
  }
  return placed;
}
