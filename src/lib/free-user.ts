/** Users that a throwaway server may run as: a uid that nobody has, or a system user that is kept for it. */
import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { LifeboatError } from './errors.ts';
import type { Owner } from './owners.ts';

export interface SystemUser extends Owner {
  readonly name: string;
}

/**
 * Uids that no distribution, container manager or directory hands out (systemd's UIDS-GIDS document leaves them unused;
 * sssd's mapping ends below); then, for namespaces that do not have so many, those between ordinary and dynamic users.
 */
const freeRanges: readonly (readonly [first: number, last: number])[] = [
  [2_000_200_001, 2_147_483_000],
  [60_600, 61_100],
  [30_000, 59_000],
];

/** A uid (and gid) with no name, no process and no subordinate range. Throws `tool` (16) where there is none. */
export function freeUser(): Owner {
  const taken = new Set([...systemUsers().map(({ uid }) => uid), ...processes().map(({ uid }) => uid)]);
  const mapped = rangesIn('/proc/self/uid_map');
  const lent = [...subordinateRanges('/etc/subuid'), ...subordinateRanges('/etc/subgid')];
  for (const [first, last] of freeRanges) {
    for (let attempt = 0; attempt < 100; attempt++) {
      const uid = randomInt(first, last + 1);
      if (mapped.length > 0 && !isIn(uid, mapped)) continue;
      if (!taken.has(uid) && !isIn(uid, lent)) return { uid, gid: uid };
    }
  }
  throw new LifeboatError('tool', 'there is no free uid for a throwaway server');
}

/** A user of the configuration. Throws `tool` (16) for one that is not there, or that something else uses. */
export function namedUser(name: string): Owner {
  const user = systemUsers().find((each) => each.name === name);
  const busy = user === undefined ? undefined : processesOf(user.uid)[0];
  const fault =
    user === undefined
      ? 'there is none'
      : ['nobody', 'postgres'].includes(name) || user.uid === 0 || user.uid === process.getuid?.()
        ? 'others own files or servers by that name'
        : busy === undefined
          ? undefined
          : `process ${busy.pid} (${busy.name}) runs under it`;
  if (user !== undefined && fault === undefined) return { uid: user.uid, gid: user.gid };
  throw new LifeboatError('tool', `a throwaway server cannot run as user ${name}: ${fault}`, {
    state: 'nothing was found out about the backup',
    hint: 'drill.user names a system user that is kept for drills: useradd --system --shell /usr/sbin/nologin NAME',
  });
}

/** As in /etc/passwd; lines without a uid are passed over. */
export function systemUsers(): SystemUser[] {
  return linesOf('/etc/passwd').flatMap((line) => {
    const [name = '', , uid = '', gid = ''] = line.split(':');
    return /^\d+$/.test(uid) && /^\d+$/.test(gid) ? [{ name, uid: Number(uid), gid: Number(gid) }] : [];
  });
}

export interface OwnedProcess {
  readonly pid: number;
  readonly uid: number;
  readonly name: string;
}

/** Those whose real or effective uid it is; not what has ended and waits to be asked for. */
export function processesOf(uid: number): OwnedProcess[] {
  return processes().filter((each) => each.uid === uid);
}

/** One entry for each uid of each process. */
function processes(): OwnedProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      const status = linesOf(`/proc/${pid}/status`);
      const field = (key: string): string[] =>
        status
          .find((line) => line.startsWith(`${key}:`))
          ?.split(/\s+/)
          .slice(1) ?? [];
      if (['Z', 'X'].includes(field('State')[0] ?? '')) return [];
      const uids = new Set(field('Uid').map(Number));
      return [...uids].map((uid) => ({ pid: Number(pid), uid, name: field('Name').join(' ') }));
    });
}

type Range = readonly [first: number, count: number];

/** Lines "first in here, first outside, count". */
function rangesIn(file: string): Range[] {
  return linesOf(file).flatMap((line) => {
    const [first, , count] = line.trim().split(/\s+/).map(Number);
    return first === undefined || count === undefined ? [] : [[first, count] as const];
  });
}

/** Lines "user:first:count". */
function subordinateRanges(file: string): Range[] {
  return linesOf(file).flatMap((line) => {
    const [, first, count] = line.split(':').map(Number);
    return first === undefined || count === undefined ? [] : [[first, count] as const];
  });
}

function isIn(uid: number, ranges: readonly Range[]): boolean {
  return ranges.some(([first, count]) => uid >= first && uid < first + count);
}

/** None of a file that cannot be read. */
export function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}
