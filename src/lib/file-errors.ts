/**
 * What the file system refuses, as an error that an operator can act on: what was tried, on what, and why not in plain
 * words. It is made here only, where a file is read or written that somebody named; and by `systemFailure` as the last
 * net, for what was let through. What no operator can change (EBADF, EINVAL) stays a bug.
 */
import { accessSync, constants, statfsSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { LifeboatError, messageOf, systemCodeOf } from './errors.ts';

export interface FileErrorDetails {
  /** What to do about it; left out: what the reason suggests. */
  readonly hint?: string | undefined;
  readonly state?: string | undefined;
}

/** For what lies in the state folder. */
export const stateFolderHint = 'make room there, or set BACKUP_STATE_DIR to a folder that this user may read and write';

/** Runs `work`; what the file system refuses there becomes an operator's error. `act`: see fileError. */
export async function tellingFileErrors<T>(act: string, details: FileErrorDetails, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(error, act, details);
  }
}

/**
 * What was thrown; if the file system refused something, as LifeboatError: `space` (15) where a disk or a quota is
 * full, else `usage` (2). `act` is what was tried and on what, e.g. "cannot write the plan to /x".
 */
export function fileError(error: unknown, act: string, { hint, state }: FileErrorDetails = {}): unknown {
  const known = refusalOf(error);
  if (known === undefined) return error;
  return new LifeboatError(known.isFull ? 'space' : 'usage', `${act}: ${known.reason}${elsewhere(error, act)}`, {
    hint: hint ?? known.hint,
    state,
    cause: error,
  });
}

/** The path that was refused, where `act` names neither it nor its folder. */
function elsewhere(error: unknown, act: string): string {
  const { path } = error as { path?: unknown };
  if (typeof path !== 'string' || act.includes(dirname(path))) return '';
  const named = basename(path).startsWith('.tmp-') ? dirname(path) : path;
  // How trees are written: by names below open folders.
  return ` (${named.replace(/^\/proc\/self\/fd\/\d+/, '…')})`;
}

/** The same, only for a disk or a quota that is full. */
export function spaceError(error: unknown, act: string, hint: string): unknown {
  return refusalOf(error)?.isFull === true ? fileError(error, act, { hint }) : error;
}

/** Why a call of the file system failed: in plain words if they are known, else the message of what was thrown. */
export function fileReason(error: unknown): string {
  return refusalOf(error)?.reason ?? messageOf(error);
}

/**
 * The last net: a refusal of the file system that nobody has told in other words, as LifeboatError; all else as it is.
 */
export function systemFailure(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof LifeboatError) return error;
  const { syscall, path, dest } = error as { syscall?: unknown; path?: unknown; dest?: unknown };
  if (typeof syscall !== 'string') return error;
  if (typeof path === 'string') {
    const to = typeof dest === 'string' ? ` to ${dest}` : '';
    const verb = syscall.startsWith('spawn ') ? 'start' : (verbs[syscall] ?? syscall);
    return fileError(error, `cannot ${verb} ${path}${to}`);
  }
  return withoutPath.has(systemCodeOf(error) ?? '') ? fileError(error, `cannot ${verbs[syscall] ?? syscall}`) : error;
}

interface Refusal {
  readonly reason: string;
  readonly hint: string;
  readonly isFull: boolean;
}

function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof LifeboatError) return undefined;
  const code = systemCodeOf(error);
  if (code === undefined) return undefined;
  const { syscall, path } = error as { syscall?: unknown; path?: unknown };
  if (syscall !== 'mkdir') return refusals.get(code);
  const actual = code === 'ENOENT' && typeof path === 'string' ? whyNotMade(path) : code;
  return ofMkdir.get(actual) ?? refusals.get(actual);
}

/**
 * Node says ENOENT of a folder that cannot be made with all that is missing above it, whatever the reason; so the
 * folder that is there is asked.
 */
function whyNotMade(path: string): string {
  try {
    let parent = dirname(path);
    while (statSync(parent, { throwIfNoEntry: false }) === undefined && parent !== dirname(parent)) {
      parent = dirname(parent);
    }
    accessSync(parent, constants.W_OK);
    return statfsSync(parent).ffree === 0 ? 'ENOSPC' : 'ENOENT';
  } catch (error) {
    return systemCodeOf(error) ?? 'ENOENT';
  }
}

const room = 'make room there, or name another place';
const rights = 'run it as a user who may do that, or give this user the right';
const refusals: ReadonlyMap<string, Refusal> = new Map(
  [
    { code: 'ENOSPC', reason: 'no space left on the device', hint: room, isFull: true },
    { code: 'EDQUOT', reason: 'the disk quota is used up', hint: room, isFull: true },
    {
      code: 'EFBIG',
      reason: 'the file would be larger than the file system or a limit (ulimit -f) allows',
      hint: 'raise the limit, or name another place',
      isFull: true,
    },
    { code: 'EACCES', reason: 'permission denied', hint: rights },
    { code: 'EPERM', reason: 'operation not permitted', hint: rights },
    {
      code: 'EROFS',
      reason: 'the file system is mounted read-only',
      hint: 'look for disk errors (dmesg), mount it writable again, or name another place',
    },
    { code: 'ENOENT', reason: 'no such file or folder', hint: 'make what is missing, or correct the path' },
    { code: 'ENOTDIR', reason: 'a part of the path is not a folder', hint: 'correct the path' },
    { code: 'EISDIR', reason: 'it is a folder', hint: 'name a file' },
    { code: 'EEXIST', reason: 'it exists already', hint: 'move it away, or name another' },
    { code: 'ENOTEMPTY', reason: 'it is a folder that is not empty', hint: 'move it away, or name another' },
    { code: 'ENAMETOOLONG', reason: 'the name is too long', hint: 'name a shorter path' },
    { code: 'ELOOP', reason: 'its symbolic links lead in a circle', hint: 'correct the links (ls -l), or the path' },
    { code: 'EMFILE', reason: 'this process has too many files open', hint: 'raise the limit (ulimit -n)' },
    { code: 'ENFILE', reason: 'this machine has too many files open', hint: 'raise the limit (sysctl fs.file-max)' },
    { code: 'EBUSY', reason: 'it is in use', hint: 'end what uses it (lsof, mount), then try again' },
    { code: 'ETXTBSY', reason: 'it is a program that runs', hint: 'end it, then try again' },
    { code: 'EXDEV', reason: 'the two places are on different file systems', hint: 'name a place on the same one' },
    { code: 'EMLINK', reason: 'it has too many links', hint: 'name another place' },
    { code: 'ENODEV', reason: 'there is no such device', hint: 'look whether it is mounted' },
    { code: 'ENXIO', reason: 'there is no such device or address', hint: 'name a regular file' },
    { code: 'ESTALE', reason: 'the file server no longer knows it', hint: 'mount the file system anew' },
    {
      code: 'EIO',
      reason: 'the disk reports an input/output error',
      hint: 'look at dmesg and the health of the disk (smartctl) before anything else',
    },
  ].map(({ code, reason, hint, isFull = false }) => [code, { reason, hint, isFull }]),
);

/** What these mean where a folder is made, with all that is missing above it. */
const ofMkdir: ReadonlyMap<string, Refusal> = new Map([
  ['EEXIST', { reason: 'something that is not a folder is in its place', hint: 'correct the path', isFull: false }],
  ['ENOENT', { reason: 'the folder that it would lie in cannot be made', hint: rights, isFull: false }],
]);

/** Codes that tell of the file system also where Node names no path (a write to an open file). */
const withoutPath = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EIO', 'EMFILE', 'ENFILE']);

/** What system calls do, where their name does not tell it. */
const verbs: Readonly<Record<string, string>> = {
  copyfile: 'copy',
  fsync: 'write',
  ftruncate: 'write',
  lstat: 'look at',
  mkdir: 'make the folder',
  mkdtemp: 'make the folder',
  opendir: 'read the folder',
  readlink: 'read the link',
  realpath: 'look at',
  rmdir: 'remove the folder',
  scandir: 'read the folder',
  stat: 'look at',
  statfs: 'look at the file system of',
  unlink: 'remove',
};
