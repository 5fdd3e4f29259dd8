/**
 * Who this process is, so that another one can tell whether it still lives: host, boot, pid namespace, pid and start
 * time.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';

export interface ProcessIdentity {
  readonly host: string;
  /** Empty where the system does not tell. */
  readonly bootId: string;
  readonly pidNamespace: string;
  readonly pid: number;
  /** Clock ticks since boot, as text; empty where the system does not tell. */
  readonly processStart: string;
  readonly user: string;
}

export function ownIdentity(): ProcessIdentity {
  return {
    host: hostname(),
    bootId: bootId(),
    pidNamespace: attempt(() => readlinkSync('/proc/self/ns/pid')),
    pid: process.pid,
    processStart: processStart(process.pid) ?? '',
    user: attempt(() => userInfo().username),
  };
}

/** True only if that process ran where we run and is proven gone. */
export function isGone(other: ProcessIdentity, own: ProcessIdentity): boolean {
  return isSameSystem(other, own) && other.processStart !== '' && processStart(other.pid) !== other.processStart;
}

/** Both have run where one can see the other's process. */
export function isSameSystem(other: ProcessIdentity, own: ProcessIdentity): boolean {
  return (
    own.bootId !== '' &&
    own.pidNamespace !== '' &&
    other.host === own.host &&
    other.bootId === own.bootId &&
    other.pidNamespace === own.pidNamespace
  );
}

/**
 * The start time of a process in clock ticks since boot; undefined if there is no such process (a zombie counts as
 * none).
 */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Which start of the machine this is; empty where the system does not tell. */
export function bootId(): string {
  return attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
}

/** A uid without a passwd entry, a system without /proc: no reason to fail. */
function attempt(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
