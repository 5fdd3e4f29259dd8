/**
 * Names of the databases that a restore makes beside the wanted one. PostgreSQL cuts longer names than
 * 63 bytes without an error, so they are shortened here, never in the middle of a character.
 */
import { randomBytes } from 'node:crypto';
import { LifeboatError } from '../../../lib/errors.ts';

/** NAMEDATALEN - 1. */
export const longestNameBytes = 63;

/** `name` + `suffix` in at most 63 bytes of UTF-8: the name is shortened, the suffix never. */
export function suffixedName(name: string, suffix: string): string {
  const room = longestNameBytes - Buffer.byteLength(suffix);
  let kept = '';
  for (const character of name) {
    if (Buffer.byteLength(kept) + Buffer.byteLength(character) > room) break;
    kept += character;
  }
  return kept + suffix;
}

/** The name that a database bears until its restore is complete: `<target, shortened>_restoring_<8 hex>`. */
export function restoringName(target: string): string {
  return suffixedName(target, `_restoring_${randomBytes(4).toString('hex')}`);
}

/** Whether a name is one that restoringName() gives. */
export function isRestoringName(name: string): boolean {
  return /_restoring_[0-9a-f]{8}$/.test(name);
}

/**
 * The name of a database that was restored beside one of that name: `<name, shortened>_restored_<yyyymmddThhmmss>`
 * (UTC).
 */
export function restoredName(name: string, at: Date): string {
  return suffixedName(name, `_restored_${stampOf(at)}`);
}

/** The name of a database that was replaced: `<name, shortened>_before_<yyyymmddThhmmss>` (UTC). */
export function beforeName(name: string, at: Date): string {
  return suffixedName(name, `_before_${stampOf(at)}`);
}

/** The name of a database whose swap was undone: `<name, shortened>_undone_<yyyymmddThhmmss>` (UTC). */
export function undoneName(name: string, at: Date): string {
  return suffixedName(name, `_undone_${stampOf(at)}`);
}

/** The name of what a failed restore left on request: `<name, shortened>_failed_<yyyymmddThhmmss>` (UTC). */
export function failedName(name: string, at: Date): string {
  return suffixedName(name, `_failed_${stampOf(at)}`);
}

/** `yyyymmddThhmmss`, UTC. */
function stampOf(at: Date): string {
  return at.toISOString().replaceAll(/[-:]|\.\d{3}Z/g, '');
}

/** Throws (usage) where PostgreSQL would cut or refuse a database's name. */
export function checkDatabaseName(name: string): void {
  const bytes = Buffer.byteLength(name);
  const why =
    bytes === 0
      ? 'it is empty'
      : bytes > longestNameBytes
        ? `it has ${bytes} bytes, PostgreSQL keeps ${longestNameBytes}`
        : /[\0\n\r]/.test(name)
          ? 'it holds a line end or a NUL'
          : undefined;
  if (why !== undefined) {
    throw new LifeboatError('usage', `"${name}" cannot be the name of a database: ${why}`, {
      hint: 'choose another name',
      state: 'nothing was changed',
    });
  }
}
