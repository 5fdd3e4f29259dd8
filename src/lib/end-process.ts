/** Ending a process of which only its number and its start are known any more. */
import { bootId, processStart } from './process-identity.ts';

/** A process as it was written down. `signal`: asked so first. `group`: it leads one, which ends with it. */
export interface NotedProcess {
  readonly pid: number;
  readonly start: string;
  readonly boot?: string;
  readonly signal?: NodeJS.Signals;
  readonly group?: true;
}

/** False where it is gone already, is another one by now, may not be ended, or has not within seconds. */
export function endProcess({ pid, start, boot, signal, group }: NotedProcess): boolean {
  if (boot !== undefined && boot !== bootId()) return false;
  if (processStart(pid) !== start) return false;
  if (signal !== undefined && ends(pid, start, signal, 3000)) return true;
  if (group === true) killGroup(pid);
  return ends(pid, start, 'SIGKILL', 5000);
}

/** Only of one that leads its group: its number is then its group's. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // None of that number, or not ours: the process itself is killed in any case.
    return;
  }
}

/** False if it may not be ended, or has not within the time. */
function ends(pid: number, start: string, signal: NodeJS.Signals, timeoutMs: number): boolean {
  try {
    process.kill(pid, signal);
  } catch {
    return false;
  }
  for (let waited = 0; waited < timeoutMs && processStart(pid) === start; waited += 10) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  }
  return signal === 'SIGKILL' || processStart(pid) !== start;
}
