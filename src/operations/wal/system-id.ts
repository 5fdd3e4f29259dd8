/**
 * What the files of a cluster tell of it: PostgreSQL calls archive_command and restore_command in its data directory.
 */
import { dirname } from 'node:path';
import type { Config } from '../../config/config.ts';
import { LifeboatError } from '../../lib/errors.ts';
import { systemIdOfFolder } from '../../source/postgres/wal/control-file.ts';

/**
 * The system identifier (decimal) by pg_control of the data directory that holds `walFile` (in pg_wal), or of `cwd`;
 * undefined where neither is a data directory.
 */
export async function systemIdBeside(walFile: string, cwd: string): Promise<string | undefined> {
  return (await systemIdOfFolder(dirname(dirname(walFile)))) ?? (await systemIdOfFolder(cwd));
}

/** A system identifier given by hand. Throws LifeboatError `usage`. */
export function checkSystemId(text: string): string {
  if (/^[1-9]\d{0,19}$/.test(text)) return text;
  throw new LifeboatError('usage', `"${text}" is not a system identifier`, {
    hint: 'it is the number that pg_controldata prints as "Database system identifier"',
  });
}

/** What this host remembers a cluster under: the target's name, also where no target is configured. */
export function clusterName({ targets, defaultTarget }: Config, wanted: string | undefined): string {
  const name = wanted ?? defaultTarget;
  if (name !== undefined) {
    if (/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) return name;
    throw new LifeboatError('usage', `"${name}" is not a valid name for a target`);
  }
  const [only = 'main', ...others] = targets.keys();
  if (others.length > 0) {
    throw new LifeboatError('usage', 'several targets are configured', {
      hint: `say which one's log this is with --target: ${[only, ...others].join(', ')}`,
    });
  }
  return only;
}
