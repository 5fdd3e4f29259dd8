/**
 * The major versions of PostgreSQL whose write-ahead log is known. Of another one nothing is archived, so a server of
 * it is refused before its archive_command fails for ever.
 */
import { LifeboatError } from '../../../lib/errors.ts';

/** By the magic number of a page (XLOG_PAGE_MAGIC, access/xlog_internal.h), which changes with each. */
const majors: ReadonlyMap<number, number> = new Map([
  [0xd106, 13],
  [0xd10d, 14],
  [0xd110, 15],
  [0xd113, 16],
  [0xd116, 17],
  [0xd118, 18],
  [0xd122, 19],
]);

/** "13 to 19". */
export const knownMajors = `${Math.min(...majors.values())} to ${Math.max(...majors.values())}`;

/** Whose pages have this number; undefined: not known. */
export function majorOf(magic: number): number | undefined {
  return majors.get(magic);
}

/** Why the log of such a server cannot be archived; undefined: it can. */
export function unknownMajor(serverMajor: number): string | undefined {
  if ([...majors.values()].includes(serverMajor)) return undefined;
  return `this lifeboat knows the write-ahead log of PostgreSQL ${knownMajors}, not that of ${serverMajor}`;
}

/** What to do then. */
export const newerLifeboat = 'install a newer lifeboat; logical backups (lifeboat backup database) go on meanwhile';

/** Throws `source` (13). */
export function refuseUnknownMajor(serverMajor: number): void {
  const message = unknownMajor(serverMajor);
  if (message !== undefined) throw new LifeboatError('source', message, { hint: newerLifeboat });
}
